"""SpeechEQ: speech emotion recognition with four heads, registered with the Auto classes of transformers.

Accessing a class, for example with `from speecheq import SpeechEQModel`, imports and registers all of them.
`import speecheq` alone does not, because torch and transformers take seconds to import and building SEQD needs neither.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .configuration_speecheq import SpeechEQConfig
    from .modeling_speecheq import SpeechEQForAudioClassification, SpeechEQModel
    from .processing_speecheq import SpeechEQFeatureExtractor, SpeechEQProcessor

__all__ = [
    "SpeechEQConfig",
    "SpeechEQFeatureExtractor",
    "SpeechEQForAudioClassification",
    "SpeechEQModel",
    "SpeechEQProcessor",
]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModel,
        AutoModelForAudioClassification,
        AutoProcessor,
    )

    from .configuration_speecheq import SpeechEQConfig
    from .modeling_speecheq import SpeechEQForAudioClassification, SpeechEQModel
    from .processing_speecheq import SpeechEQFeatureExtractor, SpeechEQProcessor

    AutoConfig.register("speecheq", SpeechEQConfig, exist_ok=True)
    AutoModel.register(SpeechEQConfig, SpeechEQModel, exist_ok=True)
    AutoModelForAudioClassification.register(SpeechEQConfig, SpeechEQForAudioClassification, exist_ok=True)
    AutoFeatureExtractor.register(SpeechEQConfig, SpeechEQFeatureExtractor, exist_ok=True)
    AutoProcessor.register(SpeechEQConfig, SpeechEQProcessor, exist_ok=True)
    for cls in (
        SpeechEQConfig,
        SpeechEQFeatureExtractor,
        SpeechEQForAudioClassification,
        SpeechEQModel,
        SpeechEQProcessor,
    ):
        globals()[cls.__name__] = cls
    return globals()[name]
