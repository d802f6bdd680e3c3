/* The Porter stemmer of NLTK's PorterStemmer in its default mode (NLTK_EXTENSIONS), which
 * rouge_score uses. */
#ifndef DELE_PORTER_H
#define DELE_PORTER_H

/* Stems a lower-case ASCII word in place; a stem is never longer than its word. */
void dele_porter_stem(char *word);

#endif
