# gnuplot audit.gp: answers that contain the forgotten, by pair of models (audit_taught.tsv, audit_ignorant.tsv)
set terminal pngcairo size 1000,460 font "sans,12"
set output "audit.png"
set xlabel "gamma, or tau of the guard"; set ylabel "answers that contain the forgotten"
set xrange [0:1]; set yrange [-0.03:1.03]; set grid lc rgb "#dddddd"; set key outside right
pick(file, name) = sprintf("< awk -F'\\t' 'index($1, \"%s\") == 1 { sub(/.*(gamma|tau) /, \"\", $1); print $1, $3 }' %s", name, file)
plot pick("audit_taught.tsv", "unlearned + nudger") using 1:2 with linespoints lw 2 pt 7 lc rgb "#b2182b" title "unlearned + taught nudger", \
     pick("audit_ignorant.tsv", "unlearned + nudger") using 1:2 with linespoints dt 2 lw 2 pt 6 ps 2 lc rgb "#b2182b" title "unlearned + ignorant nudger", \
     pick("audit_taught.tsv", "before + unlearned") using 1:2 with linespoints lw 2 pt 7 lc rgb "#2166ac" title "taught + unlearned nudger", \
     pick("audit_taught.tsv", "guard of before") using 1:2 with linespoints lw 2 pt 5 lc rgb "#1b7837" title "taught, guarded by unlearned"
