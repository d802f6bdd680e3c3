# An effect layer by layer: one line a group of tokens (or a window's width), a band for its 95 % interval.
#
#   by hand   gnuplot -e "table='lines_mlp.tsv'" layers.gp             -> lines_mlp.svg, .png, .pdf
#   blocks    a line with the group's name, then layer <tab> effect <tab> low <tab> high; two blank lines between
#   may set   out, title, note, xlabel, ylabel; controls: how many of the last blocks are controls, thin grey dashes
#
# Okabe and Ito's colours, and a mark of its own for each line, for grey printing and colour blindness.
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = "effect on p(answer)"

set datafile separator tab
stats table using 1:2 nooutput
controls = exists("controls") ? int(controls) : 0
blocks = STATS_blocks - controls
array hue[6] = ["#0072b2", "#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#000000"]

if (exists("note")) title = title . "\n" . note
set title title noenhanced
set xlabel xlabel noenhanced
set ylabel ylabel noenhanced
set key outside right noenhanced
set xtics 0, (STATS_max_x > 19 ? 5 : 1)
set tics out nomirror
set border 3
set xzeroaxis linetype 1 linecolor "#999999"
set style fill transparent solid 0.15 noborder

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size 760,380 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 1520,760 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size 760/72.0,380/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    plot for [i=0:blocks-1] table index i using 1:3:4 with filledcurves linecolor rgb hue[i%6+1] notitle, \
         for [i=0:blocks-1] table index i using 1:2 with linespoints linecolor rgb hue[i%6+1] linewidth 1.5 \
             pointtype i+4 pointsize 0.5 title columnheader(1), \
         for [i=0:controls-1] table index blocks+i using 1:2 with lines linecolor rgb "#888888" linewidth 1 \
             dashtype i+2 title columnheader(1)
    unset output
}
