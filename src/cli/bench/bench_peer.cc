#include "cli/bench/bench_peer.h"

#include <algorithm>
#include <filesystem>

#include "base/closest.h"
#include "base/process/child_process.h"

namespace evo::cli {
namespace {

namespace fs = std::filesystem;

// A first import of PyTorch from a cold disk takes a while.
constexpr double kProbeSeconds = 120;

/// The script in reference/ of the folder that this program lies in, or of one above it.
fs::path find_script() {
  std::error_code error;
  for (fs::path folder = fs::read_symlink("/proc/self/exe", error); folder.has_relative_path();) {
    folder = folder.parent_path();
    fs::path script = folder / "reference" / "train_bench.py";
    if (fs::exists(script, error)) return script;
  }
  return {};
}

}  // namespace

std::vector<Variant> peer_variants(tensor::Precision precision,
                                   const std::vector<std::string>& chosen) {
  std::vector<Variant> all, result;
  for (const bool bf16 : {false, true}) {
    if (bf16 && precision != tensor::Precision::kBF16) continue;
    for (const bool compiled : {false, true}) {
      for (const char* attention : {"matmul", "sdpa"}) {
        Variant variant{
            fmt::format("{}-{}{}", compiled ? "compiled" : "eager", attention, bf16 ? "-bf16" : ""),
            {"--attention", attention}};
        if (compiled) variant.arguments.push_back("--compile");
        if (bf16) variant.arguments.push_back("--bf16");
        all.push_back(variant);
      }
    }
  }
  if (chosen.empty()) return all;
  for (const std::string& name : chosen) {
    const auto found = std::ranges::find(all, name, &Variant::name);
    if (found == all.end()) {
      std::vector<std::string> names;
      std::ranges::transform(all, std::back_inserter(names), &Variant::name);
      throw UsageError(fmt::format("--variants: unknown variant '{}': expected some of {}{}", name,
                                   fmt::join(names, ", "), did_you_mean(name, names)));
    }
    result.push_back(*found);
  }
  return result;
}

Peer::Peer(const std::string& command) {
  if (command == "none") {
    name_ = "none: --peer none";
  } else if (command.empty()) {
    find_default();
  } else {
    const std::string reason = try_program({"/bin/sh", "-c", command + " \"$@\"", "peer"});
    if (!reason.empty()) {
      fail(
          "--peer '{}': {}. Expected a command that runs reference/train_bench.py in a Python with "
          "PyTorch; `--peer none` measures without one",
          command, reason);
    }
  }
}

void Peer::find_default() {
  const fs::path script = find_script();
  if (script.empty()) {
    name_ = "none: no reference/train_bench.py in a folder above this program: give --peer COMMAND";
    return;
  }
  name_ = "none";
  // The first one in PATH may be another than the system's, without the system's packages.
  for (const char* python : {"python3", "/usr/bin/python3"}) {
    const std::string reason = try_program({python, script.string()});
    if (reason.empty()) return;
    name_ += fmt::format("{}{}: {}", name_ == "none" ? ": " : "; ", python, reason);
  }
}

/// Takes `program` as the peer if it answers with its name; else returns why not.
std::string Peer::try_program(std::vector<std::string> program) {
  std::vector<std::string> probe = program;
  probe.emplace_back("--probe");
  const ChildResult answer = run_child(probe, {.time_limit = kProbeSeconds});
  if (!answer.failure.empty()) return answer.failure;
  try {
    name_ =
        json::Record::parse(last_line(answer.output), "its answer to --probe").get_string("peer");
  } catch (const Error& error) {
    return error.what();
  }
  program_ = std::move(program);
  return {};
}

std::vector<std::string> Peer::command(const BenchCase& work, const Variant& variant) const {
  std::vector<std::string> words = program_;
  words.insert(words.end(), {"--preset", work.preset, "--seq", std::to_string(work.sequence)});
  work.append_common_flags(words);
  words.insert(words.end(), variant.arguments.begin(), variant.arguments.end());
  return words;
}

}  // namespace evo::cli
