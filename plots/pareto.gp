# A trade-off: what each setting gave on two scores, and the front of those that no other is better than in both.
#
#   by hand   gnuplot -e "table='pareto.tsv'" pareto.gp                -> pareto.svg, .png, .pdf
#   blocks    a line with the kind's name, then x <tab> y <tab> its error <tab> y's <tab> 1 on the front <tab> name (may be
#             empty); two blank lines between; the last block is the front, x <tab> y, left to right
#   may set   out, title, xlabel, ylabel
#
# Okabe and Ito's colours, and a mark of its own for each kind, for grey printing and colour blindness.
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "x"
if (!exists("ylabel")) ylabel = "y"

set datafile separator tab
stats table using 1:2 nooutput
kinds = STATS_blocks - 1
array hue[7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
array mark[7] = [7, 5, 9, 11, 13, 4, 6]

set title title noenhanced
set xlabel xlabel noenhanced
set ylabel ylabel noenhanced
set key outside right noenhanced
set tics out nomirror
set border 3
set grid linetype 1 linecolor "#e8e8e8"
set offsets graph 0.06, graph 0.06, graph 0.06, graph 0.06

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size 860,560 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 1720,1120 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size 860/72.0,560/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    plot table index kinds using 1:2 with lines linecolor rgb "#999999" linewidth 1.5 dashtype 2 title columnheader(1), \
         for [i=0:kinds-1] table index i using 1:2:3:4 with xyerrorbars pointtype 0 linewidth 0.5 linecolor rgb "#bbbbbb" notitle, \
         for [i=0:kinds-1] table index i using 1:2 with points pointtype mark[i%7+1] pointsize 0.9 \
             linecolor rgb hue[i%7+1] title columnheader(1), \
         for [i=0:kinds-1] table index i using 1:2:6 with labels noenhanced left offset 0.8,0.5 font ",9" \
             textcolor rgb hue[i%7+1] notitle
    unset output
}
