"""SpeechEQ: speech emotion recognition with four heads, registered with the Auto classes of transformers."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoProcessor

from .configuration_speecheq import SpeechEQConfig
from .modeling_speecheq import SpeechEQModel
from .processing_speecheq import SpeechEQFeatureExtractor, SpeechEQProcessor

AutoConfig.register("speecheq", SpeechEQConfig)
AutoModel.register(SpeechEQConfig, SpeechEQModel)
AutoFeatureExtractor.register(SpeechEQConfig, SpeechEQFeatureExtractor)
AutoProcessor.register(SpeechEQConfig, SpeechEQProcessor)

__all__ = ["SpeechEQConfig", "SpeechEQFeatureExtractor", "SpeechEQModel", "SpeechEQProcessor"]
