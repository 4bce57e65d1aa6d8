"""Speech encoders of transformers, run so that padding never changes a prediction.

The functions run the layers of a stock encoder and return the input of the first layer and the output of each layer. They
differ from the stock `forward` in three ways:

- Whisper runs on the real length of the speech (at most 30 s) instead of 30 s with padding.
- Padding is zero in the input of each convolution, as at the end of a single utterance. Norms over time
  (`feat_extract_norm="group"` in wav2vec2 models) and stacked positional convolutions run on one utterance at a time:
  https://github.com/huggingface/transformers/pull/10117.
- All encoders share one SpecAugment, and LayerDrop is off because the weighted sum needs every layer.

The last functions store the weights of a model as 8-bit integers and restore them.
"""

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.whisper.modeling_whisper import WhisperEncoder

INT8_SCALE = ".int8_scale"  # suffix of a weight name: the quantisation step of each row


def backbone_from_config(config: PreTrainedConfig) -> PreTrainedModel:
    """Build a speech encoder with random weights.

    Args:
        config (`PreTrainedConfig`): configuration of a supported encoder; for whisper, only the encoder is built.
    """
    if config.model_type == "whisper":
        return WhisperEncoder._from_config(config)
    return AutoModel.from_config(config)


def backbone_from_pretrained(name_or_path: str, **kwargs) -> PreTrainedModel:
    """Load a pretrained speech encoder in float32.

    Args:
        name_or_path (`str`): a Hub repository or a folder.
        kwargs: arguments of `AutoModel.from_pretrained` (`revision`, `attn_implementation`, ...).
    """
    config = AutoConfig.from_pretrained(name_or_path)
    model = AutoModel.from_pretrained(name_or_path, dtype=torch.float32, **kwargs)
    return model.get_encoder() if config.model_type == "whisper" else model


def encoder_layers(backbone: PreTrainedModel) -> nn.ModuleList:
    """Return the transformer layers of a speech encoder, first to last."""
    return backbone.layers if hasattr(backbone, "layers") else backbone.encoder.layers


def keep_layers(backbone: PreTrainedModel, number: int):
    """Keep only the first layers of a speech encoder, in place.

    Args:
        backbone (`PreTrainedModel`): encoder from [`backbone_from_pretrained`].
        number (`int`): number of layers to keep.

    Raises:
        ValueError: if `number` is less than 1 or more than the number of layers.
    """
    layers = encoder_layers(backbone)
    if not 1 <= number <= len(layers):
        raise ValueError(f"keep_layers: number must lie in [1, {len(layers)}]; got {number}.")
    del layers[number:]
    backbone.config.num_hidden_layers = number


def encode(
    backbone: PreTrainedModel, inputs: torch.Tensor, lengths: torch.Tensor, augment=None
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Run a speech encoder on padded utterances.

    Args:
        backbone (`PreTrainedModel`): encoder from [`backbone_from_config`].
        inputs (`torch.FloatTensor`): output of the processor: `(batch, mel bins, frames)` for whisper,
            `(batch, frames, channels)` for wav2vec2-bert, `(batch, samples)` for the others.
        lengths (`torch.LongTensor` of shape `(batch,)`): frames or samples of each utterance without padding.
        augment (`Callable`, *optional*): maps `(batch, frames, channels)` features and their lengths to augmented
            features, before the layers.

    Returns:
        `list[torch.FloatTensor]` of shape `(batch, frames, hidden)`: input of the first layer and output of each layer,
        and `torch.LongTensor` of shape `(batch,)`: frames of each utterance without padding.

    Raises:
        ValueError: if an utterance is longer than the 30 s limit of whisper.
    """
    augment = augment or (lambda features, lengths: features)
    if backbone.config.model_type == "whisper":
        return _encode_whisper(backbone, inputs, lengths, augment)
    if backbone.config.model_type == "wav2vec2-bert":
        return _encode_conformer(backbone, inputs, lengths, augment)
    return _encode_waveform(backbone, inputs, lengths, augment)


def frame_mask(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """Return a `torch.BoolTensor` of shape `(batch, frames)`: `True` on speech, `False` on padding."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def mask_of_padded(model_type: str, inputs: torch.Tensor) -> torch.Tensor:
    """Return the attention mask of inputs of [`encode`] in which zeros at the end of an utterance are padding.

    Args:
        model_type (`str`): type of the encoder.
        inputs (`torch.FloatTensor`): see [`encode`].

    Returns:
        `torch.LongTensor` of shape `(batch, frames or samples)`: 1 on at least the first 0.05 s.
    """
    channels = {"whisper": 1, "wav2vec2-bert": 2}.get(model_type)
    nonzero = inputs != 0 if channels is None else (inputs != 0).any(dim=channels)
    size, shortest = nonzero.shape[1], 800 if channels is None else 5
    lengths = (nonzero * torch.arange(1, size + 1, device=inputs.device)).amax(dim=1)
    return frame_mask(lengths.clamp(min=min(shortest, size)), size).long()


def spec_augment(features: torch.Tensor, config) -> torch.Tensor:
    """Zero random blocks of frames and channels of `(batch, frames, channels)` features.

    Args:
        features (`torch.FloatTensor` of shape `(batch, frames, channels)`): input of the layers of an encoder.
        config (`SpeechEQConfig`): probabilities and lengths of the blocks.
    """
    batch, frames, channels = features.shape
    if config.mask_time_prob:
        masked = _random_blocks(batch, frames, config.mask_time_prob, config.mask_time_length, features.device)
        features = features.masked_fill(masked[:, :, None], 0.0)
    if config.mask_feature_prob:
        masked = _random_blocks(batch, channels, config.mask_feature_prob, config.mask_feature_length, features.device)
        features = features.masked_fill(masked[:, None, :], 0.0)
    return features


def _random_blocks(batch: int, size: int, probability: float, length: int, device) -> torch.Tensor:
    """Draw a `torch.BoolTensor` of shape `(batch, size)` with blocks of `length` that cover about `probability`."""
    starts = torch.rand(batch, 1, size, device=device) < probability / length
    return nn.functional.max_pool1d(nn.functional.pad(starts.float(), (length - 1, 0)), length, stride=1)[:, 0].bool()


def _encode_whisper(encoder, features, lengths, augment):
    features = augment(features.transpose(1, 2), lengths).transpose(1, 2)
    features = features * frame_mask(lengths, features.shape[2])[:, None]
    hidden = nn.functional.gelu(encoder.conv1(features.to(encoder.conv1.weight.dtype)))
    hidden = hidden * frame_mask(lengths, hidden.shape[2])[:, None]
    hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)  # (batch, frames, hidden)
    lengths = (lengths + 1) // 2
    frames, longest = hidden.shape[1], encoder.config.max_source_positions
    if frames > longest:
        raise ValueError(
            f"SpeechEQModel: an utterance must have at most {longest} frames ({longest / 50:g} s) with a whisper "
            f"backbone; got {frames}. Split it into shorter utterances."
        )
    hidden = hidden + encoder.embed_positions.weight[:frames]
    hidden = nn.functional.dropout(hidden, encoder.config.dropout, encoder.training)
    mask = _attention_mask(encoder, hidden, lengths)
    states = [hidden]
    for layer in encoder.layers:
        states.append(layer(states[-1], mask))
    states[-1] = encoder.layer_norm(states[-1])
    return states, lengths


def _encode_conformer(model, features, lengths, augment):
    features = augment(features, lengths)
    hidden = model.feature_projection(features.to(model.feature_projection.projection.weight.dtype))[0]
    speech = frame_mask(lengths, hidden.shape[1])
    hidden = model.encoder.dropout(hidden.masked_fill(~speech[..., None], 0.0))
    positions = model.encoder.embed_positions(hidden) if model.encoder.embed_positions is not None else None
    mask = _attention_mask(model, hidden, lengths)
    states = [hidden]
    for layer in model.encoder.layers:
        states.append(
            layer(
                states[-1],
                attention_mask=mask,
                relative_position_embeddings=positions,
                conv_attention_mask=speech,
            )
        )
    return states, lengths


def _encode_waveform(model, waveform, lengths, augment):
    config, encoder = model.config, model.encoder
    waveform = waveform.to(next(model.feature_extractor.parameters()).dtype)
    frame_lengths = model._get_feat_extract_output_lengths(lengths).to(lengths.device)
    if getattr(config, "feat_extract_norm", "layer") == "group":
        features = pad_sequence(
            [model.feature_extractor(row[None, :length])[0].T for row, length in zip(waveform, lengths, strict=True)],
            batch_first=True,
        )
    else:
        features = model.feature_extractor(waveform).transpose(1, 2)
    hidden = model.feature_projection(features)
    hidden = hidden[0] if isinstance(hidden, tuple) else hidden
    hidden = augment(hidden, frame_lengths)
    hidden = hidden * frame_mask(frame_lengths, hidden.shape[1])[..., None]
    hidden = hidden + _positions(encoder.pos_conv_embed, hidden, frame_lengths, config)
    # The "stable" variants normalise after the last layer, the others before the first layer.
    stable = getattr(config, "do_stable_layer_norm", False)
    hidden = encoder.dropout(hidden if stable else encoder.layer_norm(hidden))
    states = [hidden]
    if config.model_type == "wavlm":
        speech, bias = frame_mask(frame_lengths, hidden.shape[1]), None
        for layer in encoder.layers:
            hidden, bias = layer(states[-1], attention_mask=speech, position_bias=bias)
            states.append(hidden)
    else:
        mask = _attention_mask(model, hidden, frame_lengths)
        for layer in encoder.layers:
            states.append(layer(states[-1], attention_mask=mask))
    if stable:
        states[-1] = encoder.layer_norm(states[-1])
    return states, frame_lengths


def _positions(module, hidden, lengths, config):
    """Compute the convolutional position embedding, one utterance at a time if padding would change it."""
    if config.model_type != "data2vec-audio" and not getattr(config, "conv_pos_batch_norm", False):
        return module(hidden)
    rows = [module(row[None, :length])[0] for row, length in zip(hidden, lengths, strict=True)]
    return nn.functional.pad(pad_sequence(rows, batch_first=True), (0, 0, 0, hidden.shape[1] - max(map(len, rows))))


def _attention_mask(model, hidden, lengths):
    return create_bidirectional_mask(
        config=model.config, inputs_embeds=hidden, attention_mask=frame_mask(lengths, hidden.shape[1])
    )


def quantize(
    weights: dict[str, torch.Tensor], parameters: set[str], keep: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """Convert matrices to 8-bit integers, a quarter of the size of float32, and vectors to float16.

    Each matrix row is rounded to 255 steps of its range (symmetric, per output channel:
    https://arxiv.org/abs/1806.08342, section 2). Buffers do not change.

    Args:
        weights (`dict[str, torch.Tensor]`): a state dict.
        parameters (`set[str]`): names of the parameters in it.
        keep (`tuple[str, ...]`, *optional*): parameters to store as float16, including matrices.

    Returns:
        `dict[str, torch.Tensor]`: matrices as int8 of the same shape, each with its steps, float32 of shape `(rows,)`.
    """
    stored = {}
    for name, weight in weights.items():
        weight = weight.detach()
        if name not in parameters:
            stored[name] = weight
        elif weight.ndim < 2 or name in keep:
            stored[name] = weight.half()
        else:
            rows = weight.float().flatten(1)
            steps = rows.abs().amax(dim=1).clamp(min=1e-12) / 127
            stored[name] = (rows / steps[:, None]).round().to(torch.int8).view_as(weight)
            stored[name + INT8_SCALE] = steps
    return stored


def dequantize(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert the output of [`quantize`] back to a state dict with float32 matrices."""
    restored = {}
    for name, weight in weights.items():
        if name.endswith(INT8_SCALE):
            continue
        steps = weights.get(name + INT8_SCALE)
        restored[name] = weight if steps is None else weight.float() * steps.view(-1, *[1] * (weight.ndim - 1))
    return restored


def is_quantized(file: str) -> bool:
    """Return whether a safetensors file contains weights from [`quantize`], judged by the file, not the configuration."""
    with safe_open(file, framework="pt") as weights:
        return any(name.endswith(INT8_SCALE) for name in weights.keys())  # noqa: SIM118
