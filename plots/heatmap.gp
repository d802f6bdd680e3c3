# A causal-trace heatmap: tokens (or groups of tokens) down, layers across.
#
#   by hand   gnuplot -e "table='average_mlp.tsv'" heatmap.gp          -> average_mlp.svg, average_mlp.png
#   rows      row <tab> label <tab> layer <tab> value                  rows and layers count from 0
#   may set   out, title, xlabel, cblabel, colour (purple, green, red), min, max
#
# Each scheme runs from white through one hue to nearly black, so lightness alone orders the values: it survives grey
# printing and colour blindness.
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "layer"
if (!exists("cblabel")) cblabel = "p(answer)"
if (!exists("colour")) colour = "purple"

set datafile separator tab
stats table using 1:3 nooutput
rows = STATS_max_x + 1
cols = STATS_max_y + 1
stats table using 4 nooutput
low = exists("min") ? real(min) : STATS_min
high = exists("max") ? real(max) : STATS_max
if (!(high > low)) high = low + 1e-6

if (colour eq "green") set palette defined (0 "#f7fcf5", 1 "#c7e9c0", 2 "#74c476", 3 "#238b45", 4 "#00341a")
if (colour eq "red") set palette defined (0 "#fff5f0", 1 "#fcbba1", 2 "#fb6a4a", 3 "#cb181d", 4 "#4d000a")
if (colour eq "purple") set palette defined (0 "#fcfbfd", 1 "#dadaeb", 2 "#9e9ac8", 3 "#6a51a3", 4 "#2a0050")

set title title noenhanced
set xlabel xlabel noenhanced
set cblabel cblabel noenhanced
set cbrange [low:high]
step = (low < 0.01 * high ? high : high - low) / 3
set cbtics step format "%.2g"
if (low < 0.01 * high) { set cbtics 0, step }
set xrange [-0.5:cols-0.5]
set yrange [rows-0.5:-0.5]
every_layer = cols > 20 ? 5 : 1
set xtics 0, every_layer
set ytics noenhanced
set tics out nomirror scale 0.5
set style fill solid 1.0 noborder
unset key
w = 230 + 16 * (cols > 24 ? cols : 24)
h = 110 + 24 * rows

do for [terminal in "svg png"] {
    if (terminal eq "svg") { set terminal svg size w,h dynamic font "DejaVu Sans,11" background "white" } \
    else { set terminal pngcairo size 2*w,2*h font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    set output out . "." . terminal
    plot table using 3:1:($3-0.5):($3+0.5):($1-0.5):($1+0.5):4:ytic(2) with boxxyerror fillcolor palette
    unset output
}
