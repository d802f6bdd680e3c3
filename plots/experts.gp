# A number for each expert of a layer: bars, a panel below a panel for each domain (or kind of id).
#
#   rows      panel <tab> expert <tab> value [<tab> value after]        panels and experts count from 0; nan: none
#   may set   title, note, ylabel, panel_a, panel_b, ...: the panels' names, level: a dashed line (what uniform routing
#             gives), pair: each row has two values, before and after
if (!exists("ylabel")) ylabel = "domain specialisation"
pair = exists("pair")
level = exists("level") ? real(level) : NaN

stats table using 1:2 nooutput
panels = int(STATS_max_x) + 1
experts = STATS_max_y + 1
stats table using 3 nooutput
highest = STATS_max
if (pair) {
    stats table using 4 nooutput
    if (STATS_max > highest) { highest = STATS_max }
}
if (level > highest) { highest = level }
if (!(highest > 0)) { highest = 1 }
titled(p) = p < 26 && exists(sprintf("panel_%c", 97 + p)) ? value(sprintf("panel_%c", 97 + p)) : ""

width = pair ? 0.42 : 0.8
w = 150 + (experts > 40 ? 14.0 : experts > 20 ? 20.0 : 32.0) * experts
if (w < 560) { w = 560 }
panel = 96
gap = 26
head = heading(w)
top = 18 + 16 * newlines(head) + (pair ? 24 : 0)
h = top + panels * (panel + gap) + 44

set border 3
set style fill solid 1.0 noborder
set xrange [-0.7:experts-0.3]
set yrange [0:1.08*highest]
rough = highest / 3.0
power = 10 ** floor(log10(rough))
set ytics 0, power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10)
set grid ytics linetype 1 linecolor "#e8e8e8"

do for [format in formats] {
    load "terminal.gp"
    set multiplot
    set lmargin at screen 78.0 / w
    set rmargin at screen 1 - 20.0 / w
    do for [p=0:panels-1] {
        y = top + gap + p * (panel + gap)
        set tmargin at screen 1 - y * 1.0 / h
        set bmargin at screen 1 - (y + panel) * 1.0 / h
        unset label
        unset key
        if (p == 0) {
            set label 1 head at screen 0.5, screen 1 - 14.0 / h center
            set label 3 ylabel at screen 16.0 / w, screen 0.5 center rotate by 90
        }
        if (p == 0 && pair) { set key at screen 0.5, screen 1 - (top - 8.0) / h center center horizontal maxrows 1 }
        set label 2 titled(p) at graph 0, graph 1.09 left
        set xtics 0, (experts > 20 ? 4 : 1) scale 0.4
        if (p < panels - 1) { set xtics format "" } else { set xtics format "%g" }
        if (p < panels - 1) { unset xlabel } else { set xlabel "expert" }
        plot table using ($1 == p ? $2 - (pair ? 0.22 : 0) : NaN):3:(width) with boxes linecolor rgb okabe[1] \
                 title pair ? "before" : "", \
             for [i=1:pair] table using ($1 == p ? $2 + 0.22 : NaN):4:(width) with boxes linecolor rgb okabe[2] \
                 title "after", \
             level with lines linewidth 1 dashtype 2 linecolor rgb "#000000" notitle
    }
    unset multiplot
    unset output
}
