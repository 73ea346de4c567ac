"""The exceptions of the library: one root, each leaf also a builtin a caller may already catch."""


class ArchcastError(Exception):
    """Root of every error raised on purpose by archcast.

    The message is one line: what is wrong, and what to do about it.
    """


class UnreadableModelError(ArchcastError, ValueError):
    """A model file or object cannot be parsed: truncated, not ONNX, cyclic, a missing tensor."""


class NotANetworkError(ArchcastError, ValueError):
    """The model was read, but holds no operator of a neural network (a decision tree, say)."""


class ShapeError(ArchcastError, ValueError):
    """Tensor shapes are missing or contradict each other; usually cured by ``input_shape``."""


class InvalidSpecError(ArchcastError, ValueError):
    """A search space's specification (a cell string, a genotype) is not well formed."""


class InvalidRecipeError(ArchcastError, ValueError):
    """A recipe names a field or a value that no task knows."""


class UnknownTaskError(ArchcastError, ValueError):
    """No predictor is at hand for the named task."""


class UnknownDatasetError(ArchcastError, ValueError):
    """No benchmark of that name is registered."""


class MissingExtraError(ArchcastError, ImportError):
    """An optional dependency is needed and absent; the message names the extra to install."""


class SandboxError(ArchcastError, RuntimeError):
    """Foreign code cannot be run safely on this machine."""


class StorageError(ArchcastError, OSError):
    """A file cannot be read or written: no permission, a full disk, a missing folder."""


class DownloadError(ArchcastError, OSError):
    """A data file could not be fetched from its upstream or from the mirror."""


class IntegrityError(DownloadError):
    """A data file's SHA-256 differs from the registered one: damaged, or tampered with."""


class ModelFormatError(ArchcastError, ValueError):
    """A saved predictor cannot be used: damaged, or of a version this release cannot read."""


class InvalidLabelsError(ArchcastError, ValueError):
    """Labels that nothing can be learned from: infinite, too few, not one an architecture."""


class InvalidSettingError(ArchcastError, ValueError):
    """A parameter has a value that makes no sense, alone or with the others."""


class NotFittedError(ArchcastError, ValueError, AttributeError):
    """A predictor is asked before it has learned anything."""


class DeviceError(ArchcastError, RuntimeError):
    """The device asked for is not there, or has too little memory."""


class InfeasibleError(ArchcastError, ValueError):
    """No architecture meets the constraints, as far as can be told."""


class EvaluationError(ArchcastError, RuntimeError):
    """A person's own function, which trains or builds a network, failed or gave nonsense."""
