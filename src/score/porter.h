/* The Porter stemmer as NLTK's PorterStemmer has it by default (NLTK_EXTENSIONS): what rouge_score stems with. */
#ifndef LAC_PORTER_H
#define LAC_PORTER_H

/* Stems a lower-case ASCII word in place; a stem is never longer than its word. */
void lac_porter_stem(char *word);

#endif
