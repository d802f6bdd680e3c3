# Opens the picture in one format: `format` of svg, png or pdf, w by h pixels.  Texts are shown
# unchanged: without enhanced mode, in which _ ^ { } @ are markup.
if (w > 16000 || h > 16000 || w * h > 60e6) { exit error "a picture of that many cells is too large" }
if (format eq "svg") { set terminal svg size w,h dynamic noenhanced font "DejaVu Sans,12" background "white" }
if (format eq "png") { set terminal pngcairo size 2*w,2*h noenhanced font "DejaVu Sans,12" fontscale 1.5 linewidth 2 background "white" }
if (format eq "pdf") { set terminal pdfcairo size w/72.0,h/72.0 noenhanced font "DejaVu Sans,12" fontscale 1 background "white" }
set output out . "." . format
