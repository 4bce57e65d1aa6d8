"""Label sets shared by all modules. This module imports nothing, so that building SEQD does not need torch.

The multi-scale emotion labels follow SpeechEQ (https://arxiv.org/abs/2206.13101), which defines the two emotion tasks,
Emotion State Category (ESC) and Emotion Intensity Scale (EIS). The paper does not publish its class list.
"""

# Fine classes, grouped by basic class. The model predicts the fine scale; coarser scales sum its probabilities.
BASIC_CLASSES = {
    "angry": ["angry", "frustrated"],
    "disgust": ["disgust", "contempt"],
    "fear": ["fear"],
    "sad": ["sad", "bored"],
    "neutral": ["neutral", "calm"],
    "surprise": ["surprise"],
    "happy": ["happy", "excited"],
}
VALENCE_CLASSES = {
    "negative": ["angry", "frustrated", "disgust", "contempt", "fear", "sad", "bored"],
    "neutral": ["neutral", "calm"],
    "ambiguous": ["surprise"],
    "positive": ["happy", "excited"],
}
ESC_LABELS = [fine for members in BASIC_CLASSES.values() for fine in members]
ESC_SCALES = {"basic": BASIC_CLASSES, "valence": VALENCE_CLASSES}
EIS_LABELS = ["none", "low", "moderate", "high", "extreme"]
GENDER_LABELS = ["female", "male"]
CTC_BLANK = "<blank>"
TASKS = ("esc", "eis", "phoneme", "gender")
UTTERANCE_TASKS = ("esc", "eis", "gender")  # one prediction per utterance; phonemes have one per frame
MISSING = -100  # in label tensors: the utterance has no label for this task
