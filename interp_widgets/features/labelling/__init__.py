"""Labels: kept in a book, proposed by counting, tested on held-out text.

book.py, book_file.py                       a user's labels over shipped ones, in one file
contexts.py, activity.py, occurrences.py    tokens of an index with what stands around them
rules.py, counting.py, proposing.py         labels that are rules, found on one half of the texts
separating.py, classifier.py, detection.py  how well a label separates the other half
hook.py                                     a user's own language model, where one is given
"""
