// evo pull
#include <CLI/CLI.hpp>
#include <memory>

#include "base/terminal/progress.h"
#include "cli/hub/hub_settings.h"
#include "cli/program.h"
#include "hub/pull.h"
#include "json/record.h"

namespace evo::cli {
namespace {

struct PullFlags {
  std::string model, endpoint;
  bool json = false;
};

void report(const PullFlags& flags, const hub::PullResult& result) {
  if (flags.json) {
    json::Record record;
    record.set("model", flags.model).set("path", result.path.string());
    record.set("commit", result.commit).set("files", result.files);
    record.set("bytes", result.bytes).set("downloaded_bytes", result.downloaded);
    fmt::print("{}\n", record.dump());
    return;
  }
  fmt::print("{}: {} file{}, {}{}, in {}\n", flags.model, result.files,
             result.files == 1 ? "" : "s", format_bytes(static_cast<double>(result.bytes)),
             result.downloaded == 0 ? ", nothing of it new" : "", result.path.string());
}

void run_pull(const PullFlags& flags) {
  hub::PullRequest request;
  request.name = hub::parse_model_name(flags.model);
  request.endpoint = flags.endpoint.empty() ? hub_endpoint() : flags.endpoint;
  if (request.endpoint.empty()) {
    throw UsageError(
        "pull: no hub is named: set HF_ENDPOINT to its address, as in HF_ENDPOINT=https://HOST, or "
        "give --endpoint https://HOST");
  }
  if (hub_is_offline()) {
    throw UsageError(
        "pull: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE says that nothing may be "
        "downloaded: unset it");
  }
  request.token = hub_token();
  request.certificates = hub_certificates();
  request.agent = "evo/" EVO_VERSION;
  report(flags, hub::pull(hub_cache(), request));
}

}  // namespace

void add_pull_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<PullFlags>();
  CLI::App* command = app.add_subcommand("pull", "Download a model from a model hub");
  command
      ->add_option("model", flags->model,
                   "OWNER/NAME: configuration, tokenizer and weights in safetensors, or the only "
                   "GGUF file; OWNER/NAME:Q4_K_M or OWNER/NAME:FILE: one file; "
                   "OWNER/NAME@REVISION: another branch, tag or commit than main")
      ->required();
  command->add_option("--endpoint", flags->endpoint,
                      "address of the hub, https://HOST; without it HF_ENDPOINT says");
  command->add_flag("--json", flags->json, "print one JSON object on stdout");
  command->footer(
      "The model goes into the cache that the hub's own client has (HF_HUB_CACHE, HF_HOME/hub or\n"
      "~/.cache/huggingface/hub); every other command then takes OWNER/NAME in the place of a\n"
      "folder. What is there already is not downloaded again, and after an interruption the same\n"
      "command goes on. A token for private models is read from HF_TOKEN, or from the file where\n"
      "the hub's client keeps it. No other command downloads anything.");
  command->callback([flags, &action] { action = [flags] { run_pull(*flags); }; });
}

}  // namespace evo::cli
