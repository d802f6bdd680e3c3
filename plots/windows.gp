# Windows of layers: what tracing saw there (grey, scale on the right), what training them gave (colours, on the left).
#
#   blocks    a line with the name, then middle of the window <tab> value <tab> panel <tab> line; two blank lines between;
#             panels count from 0; lines 0, -1, ... are traced effects, named after their tokens, 1, 2, ... scores
#   may set   title, note, chart (whose effect), panel_a, panel_b, ...: the scores' names
if (!exists("chart")) chart = "states"

stats table using 1:2 nooutput
blocks = STATS_blocks
first_x = STATS_min_x
last_x = STATS_max_x
array panel[blocks]
array line[blocks]
panels = 0
do for [b=0:blocks-1] {
    stats table index b using 3:4 nooutput
    panel[b+1] = int(STATS_max_x)
    line[b+1] = int(STATS_min_y)
    if (panel[b+1] >= panels) { panels = panel[b+1] + 1 }
}
titled(p) = p < 26 && exists(sprintf("panel_%c", 97 + p)) ? value(sprintf("panel_%c", 97 + p)) : ""
filled(b, p) = panel[b+1] == p && line[b+1] == 0
dashed(b, p) = panel[b+1] == p && line[b+1] < 0
scored(b, p) = panel[b+1] == p && line[b+1] > 0
dash(b) = line[b+1] < 0 ? 1 - line[b+1] : 1
of_line(b) = okabe[(line[b+1]+7)%8+1]

set border 11
set grid ytics linetype 1 linecolor "#e8e8e8"
set y2tics
set style fill solid 0.25 noborder
set offsets 0, 0, graph 0.05, graph 0.05
set xrange [first_x-0.2:last_x+0.2]

w = 860
head = heading(w)
above = strlen(head) ? 10 + 16 * newlines(head) : 0
entries = 0
do for [b=0:blocks-1] { if (panel[b+1] == 0) { entries = entries + 1 } }
legend = 10 + 18 * ceil(entries / 4.0)
height = 230
gap = 62
h = above + legend + 20 + panels * (height + gap)

do for [format in formats] {
    load "terminal.gp"
    set multiplot
    set lmargin at screen 0.11
    set rmargin at screen 0.88
    do for [p=0:panels-1] {
        top = above + legend + 20 + p * (height + gap)
        set tmargin at screen 1 - top * 1.0 / h
        set bmargin at screen 1 - (top + height) * 1.0 / h
        unset label
        if (p) { unset key } else {
            set key at screen 0.5, screen 1 - (above + legend / 2.0) / h center center horizontal
            set label 1 head at screen 0.5, screen 1 - 14.0 / h center
        }
        set xlabel "layer at the centre of the window"
        set ylabel lines(titled(p), 34, 3)
        set y2label "indirect effect on\np(answer) (" . chart . ")"
        plot for [b=0:blocks-1] table index b using (filled(b, p) ? $1 : NaN):2 axes x1y2 with filledcurves y2=0 \
                 linecolor rgb "#777777" title filled(b, p) ? "traced, " . columnheader(1) : "", \
             for [b=0:blocks-1] table index b using (dashed(b, p) ? $1 : NaN):2 axes x1y2 with lines linewidth 1.5 \
                 linecolor rgb "#777777" dashtype dash(b) title dashed(b, p) ? "traced, " . columnheader(1) : "", \
             for [b=0:blocks-1] table index b using (scored(b, p) ? $1 : NaN):2 axes x1y1 with linespoints \
                 linecolor rgb of_line(b) linewidth 1.5 pointtype okabe_mark[(line[b+1]+7)%8+1] pointsize 0.6 \
                 title scored(b, p) ? columnheader(1) : ""
    }
    unset multiplot
    unset output
}
