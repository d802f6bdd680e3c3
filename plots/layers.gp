# An effect layer by layer: one line a group of tokens (or a window's width), a band for its 95 % interval.
#
#   blocks    a line with the group's name, then layer <tab> effect <tab> low <tab> high; two blank lines between
#   may set   title, note, xlabel, ylabel; hues: which colour each block has; controls: how many of the last blocks are
#             controls, thin grey dashes; ymin and ymax, for pictures on one scale
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = "indirect effect on p(answer)"

stats table using 1:2 nooutput
controls = exists("controls") ? int(controls) : 0
blocks = STATS_blocks - controls

set xlabel xlabel
set ylabel ylabel
set key below horizontal height 1
set xtics 0, (STATS_max_x > 19 ? 5 : 1)
set xrange [-0.3:STATS_max_x+0.3]
if (exists("ymin") && exists("ymax")) { if (real(ymax) > real(ymin)) { set yrange [real(ymin):real(ymax)] }}
set xzeroaxis linetype 1 linecolor "#999999"
set style fill transparent solid 0.15 noborder
w = 760
h = 400 + 18 * ceil(STATS_blocks / 3.0)

do for [format in formats] {
    load "terminal.gp"
    set title heading(w)
    plot for [i=0:blocks-1] table index i using 1:3:4 with filledcurves linecolor rgb hue(i) notitle, \
         for [i=0:blocks-1] table index i using 1:2 with linespoints linecolor rgb hue(i) linewidth 1.5 dashtype int(number(i)/8)+1 \
             pointtype shape(i) pointsize 0.6 title columnheader(1), \
         for [i=0:controls-1] table index blocks+i using 1:2 with lines linecolor rgb "#888888" linewidth 1 \
             dashtype i+2 title columnheader(1)
    unset output
}
