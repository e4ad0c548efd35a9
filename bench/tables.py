"""Rounds to medians, medians to tables."""
import statistics

NOISY_SPREAD = 0.15
NOISY_LOAD = 0.25


def summarize(rounds):
    """The median of each figure; how far the rounds lie apart; the best."""
    summary = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
    costs = [one["cpu_us"] for one in rounds]
    summary["best_us"] = min(costs)
    summary["spread"] = (max(costs) - min(costs)) / summary["cpu_us"] if summary["cpu_us"] else 0
    return summary


def count(value):
    """23380 -> 23.4k"""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def micros(value):
    return "-" if not value else f"{value:.1f}" if value < 1000 else f"{value / 1000:.1f}ms"


HEADER = (f"{'case':<12} {'server':<14} {'CPU us/op':>10} {'best':>8} {'spread':>7} {'op/s':>7} {'load':>5} "
          f"{'p50':>8} {'p99':>8}  ratio us ours/peer")


def print_case(case, results):
    """`results`: name -> rounds; the first is ours. Returns name -> summary."""
    summaries = {name: summarize(rounds) for name, rounds in results.items()}
    ours = next(iter(summaries.values()))
    for i, (name, summary) in enumerate(summaries.items()):
        ratio = f"{ours['cpu_us'] / summary['cpu_us']:.2f}" if i and summary["cpu_us"] else ""
        noise = []
        if summary["spread"] > NOISY_SPREAD:
            noise.append(f"spread {summary['spread']:.0%}")
        if summary["foreign_load"] > NOISY_LOAD:
            noise.append(f"others used {summary['foreign_load']:.1f} cores")
        print(f"{case if i == 0 else '':<12} {name:<14} {summary['cpu_us']:>10.3f} {summary['best_us']:>8.3f} "
              f"{summary['spread']:>7.0%} {count(summary['per_second']):>7} {summary['server_load']:>5.2f} "
              f"{micros(summary['p50_us']):>8} {micros(summary['p99_us']):>8}  {ratio:<6}"
              f"{'  noisy: ' + ', '.join(noise) if noise else ''}", flush=True)
    return summaries
