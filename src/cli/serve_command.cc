// evo serve
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>

#include "base/interrupt.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/program.h"
#include "io/record.h"
#include "serve/server.h"

namespace evo {
namespace {

struct Flags {
  std::string model, name, precision = "auto";
  ServerOptions server;
  EngineOptions engine{.request_seconds = 600};
  int64_t longest_prompt = 0;
  int threads = 0;
  bool json = false;
};

std::string served_name(const Flags& flags) {
  if (!flags.name.empty()) return flags.name;
  return std::filesystem::weakly_canonical(flags.model).filename().string();
}

std::string url_of(const ServerOptions& options, int port) {
  const bool v6 = options.host.find(':') != std::string::npos;
  return fmt::format("http://{}:{}", v6 ? "[" + options.host + "]" : options.host, port);
}

void announce(const Flags& flags, const std::string& url) {
  if (flags.json) {
    fmt::print("{}\n", Record().set("url", url).dump());
  } else {
    fmt::print("{} is served at {}, with a page to look at (Ctrl-C ends it)\n", served_name(flags),
               url);
  }
  flush_output();
}

void run(Flags& flags) {
  use_threads(flags.threads);
  if (const char* key = std::getenv("EVO_API_KEY"); flags.server.api_key.empty() && key) {
    flags.server.api_key = key;
  }
  const LoadedModel loaded = load_model(flags.model, parse_precision(flags.precision));
  const Decoder decoder(loaded.model);
  // Timed now, or the first client would wait for it.
  if (loaded.model.config().flow) (void)decoder.cost(Mode::kExact);
  Metrics metrics;
  const Service service(decoder, loaded.tokenizer, flags.model, served_name(flags),
                        flags.longest_prompt);
  Engine engine(decoder, loaded.tokenizer, flags.engine, metrics);
  Server server(engine, service, metrics, flags.server);
  const int port = server.start();
  announce(flags, url_of(flags.server, port));
  engine.run(interrupted);
  server.stop();
  log_info("[the server has ended]");
}

void add_limits(CLI::App& command, Flags& flags) {
  command.add_option("--active", flags.engine.active, "texts generated side by side")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--queue", flags.engine.queue, "texts that may wait for that")
      ->check(CLI::Range(static_cast<int>(kMostTexts), 65536))
      ->capture_default_str();
  command
      .add_option("--prompt-rows", flags.engine.prompt_rows,
                  "tokens of prompts that a pass reads beside what it generates")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option(
          "--cache-tokens", flags.engine.cache_tokens,
          "tokens whose keys and values are kept, of active texts and of earlier ones; their "
          "memory is taken at start. 0: for all that can be active, but at most a quarter "
          "of the machine's memory")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--max-prompt", flags.longest_prompt,
                  "tokens of a prompt; 0: what the model's context holds")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_option("--connections", flags.server.connections, "clients at the same time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--request-seconds", flags.engine.request_seconds, "time of a request; 0: any")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--drain-seconds", flags.engine.drain_seconds,
                  "time that requests have to finish when the server is to end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

}  // namespace

void add_serve_command(CLI::App& app, Action& action) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("serve", "Answer requests over HTTP, as OpenAI's servers do");
  command->add_option("model", flags->model, "model folder")->required();
  command->add_option("--host", flags->server.host, "address to listen on; 0.0.0.0: all")
      ->capture_default_str();
  command->add_option("--port", flags->server.port, "0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--name", flags->name, "what clients call the model; default: its folder's");
  command->add_option("--api-key", flags->server.api_key,
                      "what clients must send; better kept in the variable EVO_API_KEY");
  add_limits(*command, *flags);
  command->add_option("--precision", flags->precision, "auto, f32, bf16 or int8");
  command->add_option("--threads", flags->threads, kThreadsHelp);
  command->add_flag("--json", flags->json, "print {\"url\": ...} on stdout");
  command->callback([flags, &action] { action = [flags] { run(*flags); }; });
}

}  // namespace evo
