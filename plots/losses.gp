# The losses of a training run, update by update; with alpha below where two sets are played against each other.
#
#   by hand   gnuplot -e "table='losses.tsv'" losses.gp                -> losses.svg, .png, .pdf
#   columns   update <tab> loss                                        learning
#             update <tab> forget <tab> retain <tab> alpha             unlearning
#   may set   out, title
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""

set datafile separator tab
set datafile missing "nan"
stats table using 0 nooutput
two = int(STATS_columns) > 2
set border 3
set tics out nomirror
set grid ytics linetype 1 linecolor "#e0e0e0"
set key above noenhanced
set lmargin 9

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size 760,480 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 1520,960 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size 760/72.0,480/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    if (two) {
        set multiplot
        set origin 0,0.3
        set size 1,0.7
        set title title noenhanced
        unset xlabel
        set ylabel "loss, nats a token"
        plot table using 1:2 with lines linecolor rgb "#d55e00" linewidth 1.5 title "forget", \
             table using 1:3 with lines linecolor rgb "#0072b2" linewidth 1.5 title "retain"
        unset title
        set origin 0,0
        set size 1,0.33
        set xlabel "update"
        set ylabel "alpha"
        set ytics 0.5
        plot table using 1:4 with steps linecolor rgb "#009e73" linewidth 1.5 notitle
        set ytics autofreq
        unset multiplot
    } else {
        set title title noenhanced
        set xlabel "update"
        set ylabel "loss, nats a token"
        plot table using 1:2 with lines linecolor rgb "#0072b2" linewidth 1.5 notitle
    }
    unset output
}
