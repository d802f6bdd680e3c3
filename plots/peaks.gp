# Where facts peak: how many have their largest effect at each layer; below it the mean effect, which may be largest
# where few facts peak.
#
#   rows      layer <tab> facts <tab> mean effect                       layers count from 0
#   may set   title, note, xlabel, colour (purple, green, red)
if (!exists("xlabel")) xlabel = "layer"
if (!exists("colour")) colour = "purple"

stats table using 1:2 nooutput
layers = STATS_max_x + 1
most = STATS_max_y
fill = colour eq "green" ? "#74c476" : colour eq "red" ? "#fb6a4a" : "#9e9ac8"

set tics out nomirror
set xtics 0, (layers > 20 ? 5 : 1)
set xrange [-0.6:layers-0.4]
set style fill solid 1.0 noborder
set xzeroaxis linetype 1 linecolor "#999999"
set lmargin 12
unset key
w = 300 + 24 * (layers > 20 ? layers : 20)
h = 520
head = heading(w)

do for [format in formats] {
    load "terminal.gp"
    set multiplot
    set origin 0,0.42
    set size 1,0.58
    set title head
    unset xlabel
    set ylabel "facts with their\nlargest effect here"
    set yrange [0:1.1*most]
    if (most < 6) { set ytics 1 } else { set ytics autofreq }
    plot table using 1:2:(0.8) with boxes linecolor rgb fill
    unset title
    set origin 0,0
    set size 1,0.42
    set xlabel xlabel
    set ylabel "mean indirect effect\non p(answer)"
    set autoscale y
    set ytics autofreq
    plot table using 1:3 with linespoints linecolor rgb "#000000" linewidth 1.5 pointtype 7 pointsize 0.5
    unset multiplot
    unset output
}
