# Where facts peak: how many have their largest effect at each layer, and behind it the mean effect, which may be largest
# where few facts are.
#
#   by hand   gnuplot -e "table='peaks_mlp.tsv'" peaks.gp              -> peaks_mlp.svg, .png, .pdf
#   rows      layer <tab> facts <tab> mean effect                       layers count from 0
#   may set   out, title, note, xlabel, ylabel, colour (purple, green, red)
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = "facts whose largest effect is here"
if (!exists("colour")) colour = "purple"

set datafile separator tab
stats table using 1:2 nooutput
layers = STATS_max_x + 1
most = STATS_max_y
hue = colour eq "green" ? "#74c476" : colour eq "red" ? "#fb6a4a" : "#9e9ac8"

if (exists("note")) title = title . "\n" . note
set title title noenhanced
set xlabel xlabel noenhanced
set ylabel ylabel noenhanced
set y2label "mean effect on p(answer)"
set key outside bottom center horizontal noenhanced
set tics out nomirror
set xtics 0, (layers > 20 ? 5 : 1)
set xrange [-0.6:layers-0.4]
set yrange [0:1.1*most]
if (most < 6) { set ytics 1 }
set y2tics
set border 11
set style fill solid 1.0 noborder
w = 300 + 24 * (layers > 16 ? layers : 16)

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size w,380 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 2*w,760 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size w/72.0,380/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    plot table using 1:2:(0.8) with boxes linecolor rgb hue title "facts", \
         table using 1:3 axes x1y2 with linespoints linecolor rgb "#000000" linewidth 1.5 pointtype 7 pointsize 0.4 title "mean effect"
    unset output
}
