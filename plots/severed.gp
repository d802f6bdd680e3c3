# Severed paths (Meng et al. 2022, section 2.2): for each layer the effect of one hidden state,
# unmodified and with the MLPs or the attention of its token severed.  The difference to the
# unmodified bar is the effect that passes through the severed part.
#
#   blocks    a line with the bars' name, then layer <tab> effect <tab> low <tab> high; two blank lines between
#   may set   title, note, xlabel, ylabel; hues: which colour each block has
#
# Three colours that are also dark, middle and light in grey; whiskers are 95 % intervals.
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = "indirect effect on p(answer)"

stats table using 1:2 nooutput
bars = STATS_blocks
layers = STATS_max_x + 1
width = 0.8 / bars
place(i) = (i - (bars - 1) / 2.0) * width
array shade[3] = ["#4b2e83", "#009e73", "#f0a848"]

set xlabel xlabel
set ylabel ylabel
set key below horizontal height 1
set xtics 0, (layers > 20 ? 5 : 1)
set xrange [-0.6:layers-0.4]
set xzeroaxis linetype 1 linecolor "#999999"
set style fill solid 1.0 noborder
w = 300 + 30 * (layers > 16 ? layers : 16)
h = 400 + 18 * ceil(bars / 3.0)

do for [format in formats] {
    load "terminal.gp"
    set title heading(w)
    plot for [i=0:bars-1] table index i using ($1+place(i)):2:(width) with boxes \
             linecolor rgb shade[number(i)%3+1] title columnheader(1), \
         for [i=0:bars-1] table index i using ($1+place(i)):3:(0):($4-$3) with vectors heads size screen 0.004,90 \
             linewidth 0.7 linecolor rgb "#333333" notitle
    unset output
}
