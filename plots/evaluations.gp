# The evaluations of a model while it is unlearned: NLL of the sets above; exact match and MMLU accuracy below.
#
#   columns   update, forget NLL, retain NLL, forget exact, retain exact, MMLU, holdout NLL, retain budget
#   may set   title, note
set grid ytics linetype 1 linecolor "#e0e0e0"
set key below horizontal height 1
set lmargin 10
set style data linespoints
stats table using 1 nooutput
if (STATS_max <= STATS_min) { set xrange [STATS_min-0.5:STATS_max+0.5]; set xtics 1 } # one evaluation
w = 760
h = 600

do for [format in formats] {
    load "terminal.gp"
    set multiplot
    set origin 0,0.48
    set size 1,0.52
    set title heading(w)
    unset xlabel
    set ylabel "NLL (nats per token)"
    set autoscale y
    plot table using 1:2 linecolor rgb hue(1) pointtype 7 pointsize 0.5 title "forget set", \
         table using 1:3 linecolor rgb hue(0) pointtype 5 pointsize 0.5 title "retain set", \
         table using 1:7 linecolor rgb "#7f7f7f" pointtype 4 pointsize 0.5 title "holdout set", \
         table using 1:8 with lines linecolor rgb hue(0) dashtype 2 title "retain budget"
    unset title
    set origin 0,0
    set size 1,0.48
    set xlabel "update"
    set ylabel "exact match, accuracy"
    set yrange [-0.03:1.03]
    plot table using 1:4 linecolor rgb hue(1) pointtype 7 pointsize 0.5 title "forget set: exact match", \
         table using 1:5 linecolor rgb hue(0) pointtype 5 pointsize 0.5 title "retain set: exact match", \
         table using 1:6 linecolor rgb hue(2) pointtype 9 pointsize 0.5 title "MMLU accuracy"
    unset multiplot
    unset output
}
