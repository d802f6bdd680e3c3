# Unlearning depth: the log-probability of the answer that the full model loses, layer by layer, when another model's
# hidden states replace its own after that layer: those of the retain model (orange), which never learnt the facts, and
# those of the unlearned one (blue).  Blue on orange: erased.  Blue at zero: still there.
#
#   columns   layer, rows, delta1, low, high, delta2, low, high, share of rows counting, erased
#   may set   title, note
stats table using 1 nooutput
set xlabel "layer"
set ylabel "loss of log p(answer)\n(nats per token)"
set key below horizontal height 1
set xtics 0, (STATS_max > 19 ? 5 : 1)
set xrange [-0.3:STATS_max+0.3]
set xzeroaxis linetype 1 linecolor "#999999"
set style fill transparent solid 0.15 noborder
w = 760
h = 400

do for [format in formats] {
    load "terminal.gp"
    set title heading(w)
    plot table using 1:4:5 with filledcurves linecolor rgb hue(1) notitle, \
         table using 1:7:8 with filledcurves linecolor rgb hue(0) notitle, \
         table using 1:3 with linespoints linecolor rgb hue(1) linewidth 1.5 pointtype 4 pointsize 0.5 \
             title "states of the retain model", \
         table using 1:6 with linespoints linecolor rgb hue(0) linewidth 1.5 pointtype 6 pointsize 0.5 \
             title "states of the unlearned model"
    unset output
}
