# A trade-off: what each setting gave on two scores, and the front of those that no other is better than in both.
#
#   blocks    a line with the kind's name, then x, y, x's standard error, y's, 1 on the front, name (may be empty), and
#             where the name stands: x, y, and 1 where a thin line shall lead to it; two blank lines between blocks; the
#             last block is the front, x <tab> y, left to right
# texts 6
#   may set   title, note, xlabel, ylabel, xmin, xmax, ymin, ymax, hues: which colour each block has
if (!exists("xlabel")) xlabel = "x"
if (!exists("ylabel")) ylabel = "y"

stats table using 1:2 nooutput
kinds = STATS_blocks - 1

set xlabel xlabel
set ylabel ylabel
set key below horizontal height 1
set style textbox opaque noborder fillcolor "white" margins 0.3, 0.1
set grid linetype 1 linecolor "#e8e8e8"
if (exists("xmin") && exists("ymax")) {
    set xrange [real(xmin):real(xmax)]
    set yrange [real(ymin):real(ymax)]
} else { set offsets graph 0.06, graph 0.06, graph 0.06, graph 0.06 }
w = 860
h = 620 + 18 * ceil(kinds / 4.0)

do for [format in formats] {
    load "terminal.gp"
    set title heading(w)
    plot table index kinds using 1:2 with lines linecolor rgb "#999999" linewidth 1.5 dashtype 2 title columnheader(1), \
         for [i=0:kinds-1] table index i using 1:2:3:4 with xyerrorbars pointtype 0 linewidth 0.5 linecolor rgb "#bbbbbb" notitle, \
         for [i=0:kinds-1] table index i using ($9 == 1 ? $1 : NaN):2:($7-$1):($8-$2) with vectors nohead linewidth 0.5 \
             linecolor rgb "#888888" notitle, \
         for [i=0:kinds-1] table index i using 1:2 with points pointtype shape(i) pointsize 0.9 \
             linecolor rgb hue(i) title columnheader(1), \
         for [i=0:kinds-1] table index i using 7:8:6 with labels boxed center font ",9" textcolor rgb hue(i) notitle
    unset output
}
