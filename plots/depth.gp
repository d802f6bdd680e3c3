# What a model loses, layer by layer, when another model's states are put in behind that layer: those of one that never
# knew (orange), those of the one that shall have forgotten (blue).  Where the blue line lies on the orange one the fact is
# gone; where it lies at zero it is still there.
#
#   by hand   gnuplot -e "table='depth.tsv'" depth.gp                  -> depth.svg, .png, .pdf
#   columns   layer, rows, delta1, low, high, delta2, low, high, share of rows counting, erased
#   may set   out, title, note
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (exists("note")) title = title . "\n" . note

set datafile separator tab
set datafile missing "nan"
stats table using 1 nooutput
set title title noenhanced
set xlabel "layer"
set ylabel "log p lost, nats a token"
set key top left reverse Left noenhanced
set xtics 0, (STATS_max > 19 ? 5 : 1)
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
    plot table using 1:4:5 with filledcurves linecolor rgb "#d55e00" notitle, \
         table using 1:7:8 with filledcurves linecolor rgb "#0072b2" notitle, \
         table using 1:3 with linespoints linecolor rgb "#d55e00" linewidth 1.5 pointtype 4 pointsize 0.5 \
             title "with states of one that never knew", \
         table using 1:6 with linespoints linecolor rgb "#0072b2" linewidth 1.5 pointtype 6 pointsize 0.5 \
             title "with states of the unlearned one"
    unset output
}
