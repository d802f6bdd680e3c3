# gnuplot lambda.gp: forget and retain scores along lambda
set terminal pngcairo size 1500,480 font "sans,13"
set output "lambda.png"
set datafile separator "\t"
set multiplot layout 1,3
set xrange [-0.03:1.03]; set yrange [-0.03:1.03]
set xlabel "lambda (--adapter-scale)"; set ylabel "exact match of 50 questions"
set key below maxrows 2 samplen 2 font ",10"; set grid lc rgb "#dddddd"
do for [k in "perft-s perft-r perft-e"] {
  set title k
  plot "< grep '^".k."' lambda.tsv" using 2:3 with linespoints lw 2 pt 7 lc rgb "#b2182b" title "forget set", \
       "< grep '^".k."' lambda.tsv" using 2:4 with linespoints lw 2 pt 7 lc rgb "#2166ac" title "retain set", \
       0 with lines dt 2 lc rgb "#b2182b" title "forget set, in the weights", 0.98 with lines dt 2 lc rgb "#2166ac" title "retain set, in the weights"
}
