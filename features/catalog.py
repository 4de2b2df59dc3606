"""Every feature there is, in one list."""

from features import client, match, therapist, track
from features.feature import Feature, PairFeature

ROW_FEATURES: tuple[Feature, ...] = (*client.FEATURES, *therapist.FEATURES)
PAIR_FEATURES: tuple[PairFeature, ...] = (*match.FEATURES, *track.FEATURES)
CATALOG: dict[str, Feature | PairFeature] = {
    **{feature.name: feature for feature in ROW_FEATURES},
    **{feature.name: feature for feature in PAIR_FEATURES},
}
