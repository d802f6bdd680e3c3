/* The Porter stemmer as NLTK's PorterStemmer has it by default (NLTK_EXTENSIONS): what rouge_score
 * stems with. */
#ifndef DELE_PORTER_H
#define DELE_PORTER_H

/* Stems a lower-case ASCII word in place; a stem is never longer than its word. */
void dele_porter_stem(char *word);

#endif
