"""Invented logs of a small firm: 13 weeks, weekends, growth, a bad night."""

import datetime
import json
import pathlib
import random

START = datetime.date(2026, 5, 4)
DAYS = 91

# model, provider, dollars for 1M input and output tokens, share, reasons, share of
# calls with a logged cost
MODELS = [
    ("claude-sonnet-4-5", "anthropic", 3, 15, 30, False, 1),
    ("gpt-5.2", "openai", 1.75, 14, 22, True, 1),
    ("gemini-3-pro", "google", 2, 12, 14, True, 0.9),
    ("gpt-5-mini", "openai", 0.25, 2, 16, True, 1),
    ("claude-haiku-4-5", "anthropic", 1, 5, 12, False, 1),
    ("deepseek-v3.2", "deepinfra", 0.28, 0.42, 6, True, 1),
    ("mistral-large-3", "mistral", 0.5, 1.5, 4, False, 0.5),
    ("llama-4-maverick", "deepinfra", 0.2, 0.6, 2, False, 0),
    ("qwen3-coder", "deepinfra", 0.4, 1.6, 2, False, 0),
]
PROJECTS = [("support-bot", 34), ("search", 22), ("catalog", 17), ("code-review", 13), ("ads", 8), ("research", 4)]
PEOPLE = "ana bo carla deniz emeka farah goran hana ines jonas kofi lena mateo nora omar priya".split()
IMAGES = [("1024x1024", "high", 9), ("1024x1024", "medium", 14), ("1536x1024", "medium", 7), ("1024x1536", "low", 4)]


def invent(folder, rows=12000, seed=7, start=START, days=DAYS):
    """Write logs below folder, one file a day and source. Returns the folder."""
    r = random.Random(seed)
    folder = pathlib.Path(folder)
    weights = []
    for n in range(days):
        day = start + datetime.timedelta(n)
        weekend = 0.35 if day.weekday() >= 5 else 1
        weights.append(weekend * (0.6 + 0.8 * n / days) * r.uniform(0.85, 1.15))
    for n in range(days):
        day = start + datetime.timedelta(n)
        for source, share in (("gateway", 0.72), ("batch", 0.2), ("images", 0.08)):
            if source == "batch" and n in (37, 38):  # a bad night
                continue
            count = int(rows * share * weights[n] / sum(weights))
            if source == "gateway" and n == 65:
                count //= 9
            path = folder / source / f"{day}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w") as f:
                for i in range(count):
                    f.write(json.dumps(call(r, source, day, n, i)) + "\n")
    return folder


def call(r, source, day, n, i):
    at = datetime.datetime.combine(day, datetime.time()) + datetime.timedelta(seconds=r.randrange(86400))
    project = r.choices([p for p, _ in PROJECTS], [w for _, w in PROJECTS])[0]
    record = {
        "event_time": at.isoformat() + "Z", "request_id": f"{source}-{n}-{i}", "project_id": project,
        "user_id": r.choices(PEOPLE, [1 / (k + 2) for k in range(len(PEOPLE))])[0],
        "api_key_name": r.choice(["prod", "prod", "prod", "staging", "ci"]),
    }
    if source == "images":
        size, quality, _ = r.choices(IMAGES, [w for *_, w in IMAGES])[0]
        text, out = r.randint(20, 400), r.randint(300, 4200)
        return record | {
            "model": "gpt-image-1", "provider": "openai", "cost_usd": round(text * 5e-6 + out * 40e-6, 9),
            "response": {"created": int(at.timestamp()), "size": size, "quality": quality, "data": [{"url": ""}],
                         "usage": {"input_tokens": text, "output_tokens": out, "total_tokens": text + out,
                                   "input_tokens_details": {"text_tokens": text, "image_tokens": 0}}},
        }
    model, provider, price_in, price_out, _, reasons, logged = r.choices(MODELS, [m[4] * (2.2 if n > 50 and m[0] == "gpt-5.2" else 1) for m in MODELS])[0]
    tokens_in, out = int(r.lognormvariate(8.2, 1)), int(r.lognormvariate(6.2, 0.8))
    cached = int(tokens_in * r.choice([0, 0, 0.3, 0.6, 0.8]) * (0.6 + 0.5 * n / 91)) if provider != "mistral" else 0
    thought = int(out * r.uniform(0.2, 0.7)) if reasons else 0
    record |= {
        "model": model, "provider": provider, "prompt_tokens": tokens_in, "completion_tokens": out, "total_tokens": tokens_in + out,
        "prompt_tokens_details": {"cached_tokens": cached}, "completion_tokens_details": {"reasoning_tokens": thought},
    }
    if r.random() < logged:
        record["cost_usd"] = round(((tokens_in - 0.9 * cached) * price_in + out * price_out) / 1e6, 9)
    return record


if __name__ == "__main__":
    import sys

    invent(sys.argv[1])
