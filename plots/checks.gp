# What was seen of a model while it was unlearning: both sets' NLL, and below the share of rows said exactly, and MMLU.
#
#   by hand   gnuplot -e "table='checks.tsv'" checks.gp                -> checks.svg, .png, .pdf
#   columns   update <tab> forget NLL <tab> retain NLL <tab> forget exact <tab> retain exact <tab> MMLU <tab> unseen NLL <tab> limit
#   may set   out, title
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""

set datafile separator tab
set datafile missing "nan"
set border 3
set tics out nomirror
set grid ytics linetype 1 linecolor "#e0e0e0"
set key above noenhanced
set lmargin 9
set style data linespoints

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size 760,560 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 1520,1120 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size 760/72.0,560/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    set multiplot
    set origin 0,0.5
    set size 1,0.5
    set title title noenhanced
    unset xlabel
    set ylabel "NLL, nats a token"
    set autoscale y
    plot table using 1:2 linecolor rgb "#d55e00" pointtype 7 pointsize 0.5 title "forget", \
         table using 1:3 linecolor rgb "#0072b2" pointtype 5 pointsize 0.5 title "retain", \
         table using 1:7 linecolor rgb "#7f7f7f" pointtype 4 pointsize 0.5 title "unseen", \
         table using 1:8 with lines linecolor rgb "#0072b2" dashtype 2 title "retain budget"
    unset title
    set origin 0,0
    set size 1,0.5
    set xlabel "update"
    set ylabel "share"
    set yrange [0:1]
    plot table using 1:4 linecolor rgb "#d55e00" pointtype 7 pointsize 0.5 title "forget rows exact", \
         table using 1:5 linecolor rgb "#0072b2" pointtype 5 pointsize 0.5 title "retain rows exact", \
         table using 1:6 linecolor rgb "#009e73" pointtype 9 pointsize 0.5 title "MMLU"
    unset multiplot
    unset output
}
