"""What can be wrong with the runs that a law is asked of."""


class LawError(ValueError):
    """The question is malformed: a target that is not positive, a document of another version."""


class InsufficientDataError(LawError):
    """The runs cannot answer the question, however it is asked: too few, or too much alike."""


class MissingRunsError(LawError):
    """The answer needs the runs behind the law, and they are not at hand."""
