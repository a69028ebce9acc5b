"""The organism: a small language model whose circuits are known, and how it is made.

`iw.load("organism")` loads what lies in `weights/`; `python -m interp_widgets.labs.organism train`
makes it again. docs/how-it-works/organism.md tells the story.

    facts.py, cities.json    what is taught       documents.py, world.py, language.py, corpus.py
    tokenizer.py             names fall into pieces
    network.py, muon.py, interchange.py, training.py    the network and how it learns
    replacement.py, naming.py                           its cross-layer transcoder, with names
    probing.py, gates.py, swaps.py                      what it must show before it ships
    folder.py, card.py, __main__.py                     files
"""
