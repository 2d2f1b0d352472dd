"""Which words do all stages share?

reference · bundle · prediction · events · errors · plugins: the nouns, with nothing but the standard library
and NumPy's types behind them; and background: how work that blocks is done beside an event loop. Import the modules
themselves; this package imports nothing of ours.
"""
