# The losses of a training run, update by update; with alpha below where two sets are played against each other.
#
#   columns   update <tab> loss                                        learning
#             update <tab> forget <tab> retain <tab> alpha             unlearning
#   may set   title, note, ylabel
if (!exists("ylabel")) ylabel = "loss"

stats table using 0 nooutput
two = int(STATS_columns) > 2
set grid ytics linetype 1 linecolor "#e0e0e0"
set key below horizontal height 1
set lmargin 11
w = 760
h = two ? 520 : 400

do for [format in formats] {
    load "terminal.gp"
    set title heading(w)
    if (two) {
        set multiplot
        set origin 0,0.3
        set size 1,0.7
        unset xlabel
        set ylabel ylabel
        plot table using 1:2 with lines linecolor rgb hue(1) linewidth 1.5 title "forget set", \
             table using 1:3 with lines linecolor rgb hue(0) linewidth 1.5 title "retain set"
        unset title
        set origin 0,0
        set size 1,0.33
        set xlabel "update"
        set ylabel "weight α"
        set ytics 0.5
        plot table using 1:4 with steps linecolor rgb hue(2) linewidth 1.5 notitle
        set ytics autofreq
        unset multiplot
    } else {
        set xlabel "update"
        set ylabel ylabel
        plot table using 1:2 with lines linecolor rgb hue(0) linewidth 1.5 notitle
    }
    unset output
}
