"""The label sets that every part of the project shares; nothing is imported here, for a build of SEQD needs no torch.

The multi-scale emotion labels follow SpeechEQ (https://arxiv.org/abs/2206.13101), which defines the two emotion tasks,
Emotion State Category (ESC) and Emotion Intensity Scale (EIS); the class list itself is this project's own.
"""

# The fine classes, grouped by basic class. The model predicts the fine scale; the coarser ones are sums of it.
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
UTTERANCE_TASKS = ("esc", "eis", "gender")  # one answer per utterance; phonemes have one per frame
MISSING = -100  # in tensors of labels: the utterance has none for this task
