"""The categories that occur in the synthetic clinic, with how often: first therapists', then clients' weights."""

GENDERS = ("woman", "man", "non_binary")
ETHNICITIES = ("white", "hispanic", "black", "asian", "mixed", "other")
ORIENTATIONS = ("cbt", "psychodynamic", "humanistic", "systemic", "integrative", "schema")
FAITHS = ("none", "christian", "muslim", "jewish", "hindu", "buddhist")
QUALIFICATIONS = ("lcsw", "lmft", "lpcc", "psyd", "phd", "supervisor")
LANGUAGES = ("en", "es", "zh", "vi", "tl", "ko")
JURISDICTIONS = ("US-CA", "US-OR", "US-WA")
PAYERS = ("self-pay", "Medi-Cal", "Blue Shield", "Aetna", "Kaiser")
MODALITIES = ("video", "in_person", "phone")
CARE_LEVELS = ("outpatient", "intensive_outpatient")
AGE_GROUPS = ("child", "adolescent", "adult", "older_adult")
PROBLEMS = (
    "depression",
    "anxiety",
    "panic",
    "ptsd",
    "social_anxiety",
    "ocd",
    "grief",
    "relationship",
    "work_stress",
    "substance_use",
    "eating_disorder",
    "insomnia",
)
PROBLEM_WEIGHTS = (0.26, 0.20, 0.06, 0.08, 0.06, 0.04, 0.05, 0.08, 0.08, 0.03, 0.02, 0.04)
TRAINING_NEEDED = ("ptsd", "ocd", "eating_disorder")
"""Problems for which only therapists with verified training are offered."""
EMPLOYMENT = ("employed", "unemployed", "student", "retired", "carer")
REFERRERS = ("self", "physician", "employer", "insurer")
SEXUAL_ORIENTATIONS = ("heterosexual", "gay_or_lesbian", "bisexual", "other")
HALF_DAYS = tuple(f"{day}_{half}" for day in ("mon", "tue", "wed", "thu", "fri") for half in ("am", "pm"))
STRENGTHS = ("prefer", "must", "avoid", "must_not")
TOPICS = ("gender", "orientation", "ethnicity", "modality", "affirming")
"""Topics on which the synthetic clients have preferences; the values are codes into the tuples above."""
