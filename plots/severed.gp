# Severed paths (Meng et al. 2022, section 2.2): layer by layer, the effect of one hidden state, whole and with the MLPs
# or the attention of its token cut; what a bar lacks beside the ordinary one went through the part that was cut.
#
#   by hand   gnuplot -e "table='severed.tsv'" severed.gp              -> severed.svg, .png, .pdf
#   blocks    a line with the bars' name, then layer <tab> effect <tab> low <tab> high; two blank lines between
#   may set   out, title, note, xlabel, ylabel
#
# Three of Okabe and Ito's colours that are also dark, middle and light in grey; whiskers are 95 % intervals.
if (!exists("out")) out = table[1:strlen(table)-4]
if (!exists("title")) title = ""
if (!exists("xlabel")) xlabel = "layer"
if (!exists("ylabel")) ylabel = "effect on p(answer)"

set datafile separator tab
stats table using 1:2 nooutput
bars = STATS_blocks
layers = STATS_max_x + 1
width = 0.8 / bars
place(i) = (i - (bars - 1) / 2.0) * width
array hue[3] = ["#4b2e83", "#009e73", "#f0a848"]

if (exists("note")) title = title . "\n" . note
set title title noenhanced
set xlabel xlabel noenhanced
set ylabel ylabel noenhanced
set key outside right noenhanced
set tics out nomirror
set xtics 0, (layers > 20 ? 5 : 1)
set xrange [-0.6:layers-0.4]
set border 3
set xzeroaxis linetype 1 linecolor "#999999"
set style fill solid 1.0 noborder
w = 300 + 30 * (layers > 16 ? layers : 16)

formats = strstrt(GPVAL_TERMINALS, "pdfcairo") ? "svg png pdf" : "svg png"
do for [format in formats] {
    if (format eq "svg") { set terminal svg size w,380 dynamic font "DejaVu Sans,11" background "white" }
    if (format eq "png") { set terminal pngcairo size 2*w,760 font "DejaVu Sans,11" fontscale 2 linewidth 2 background "white" }
    if (format eq "pdf") { set terminal pdfcairo size w/72.0,380/72.0 font "DejaVu Sans,11" fontscale 1 background "white" }
    set output out . "." . format
    plot for [i=0:bars-1] table index i using ($1+place(i)):2:(width) with boxes linecolor rgb hue[i%3+1] title columnheader(1), \
         for [i=0:bars-1] table index i using ($1+place(i)):2:3:4 with yerrorbars pointtype 0 linewidth 0.7 linecolor rgb "#333333" notitle
    unset output
}
