"""Reviews for measuring with when there are no others: put together from sentences, with the lengths of real ones."""

_GLAD = (
    "I went in with low hopes and came out smiling.",
    "She carries the whole film on her shoulders, and not one of her scenes is wasted.",
    "The photography is gorgeous, all rain and neon and empty streets at four in the morning.",
    "It is clever, warm and never dull.",
    "My children loved it, and to my surprise so did I.",
    "The score lifts every scene that it is in.",
    "The last twenty minutes are as tense as anything made in that decade.",
    "It takes its time, and it earns every minute of it.",
    "I cannot remember when I last cried in a cinema; I did here, twice.",
    "A small masterpiece that deserves to be much better known.",
    "The director trusts the audience, which is rare enough.",
)
_SORRY = (
    "The plot makes no sense from the first minute to the last.",
    "By the second hour I was looking at my watch.",
    "What a waste of a talented cast.",
    "The dialogue sounds as if nobody had ever read it aloud before the cameras rolled.",
    "I have seen better acting in commercials for floor cleaner.",
    "There is one good joke, and it is in the trailer.",
    "Based on a novel that I admire, it keeps the story and loses the soul.",
    "Nobody behaves like a human being, least of all the hero.",
    "The effects were cheap even for 1987.",
    "Avoid it unless you collect disasters.",
    "Half of the budget must have gone into the hats.",
)
_SENTENCES_IN_A_REVIEW = (3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 30, 42)  # quantiles of film reviews
_REVIEWS = 64
_STEP = 3  # has no factor in common with the number of sentences, so that reviews differ


def _review(number: int) -> str:
    """Of one mind from beginning to end, as most are: glad ones and sorry ones take turns."""
    sentences = (_GLAD, _SORRY)[number % 2]
    length = _SENTENCES_IN_A_REVIEW[number // 2 % len(_SENTENCES_IN_A_REVIEW)]
    places = range(number // 2, number // 2 + length * _STEP, _STEP)
    return " ".join(sentences[place % len(sentences)] for place in places)


SAMPLE: tuple[str, ...] = tuple(_review(number) for number in range(_REVIEWS))
