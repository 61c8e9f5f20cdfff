// evo_parity DUMP: computes what the folder DUMP asks for and writes it to expected.safetensors
// there, for reference/check.py, whose documentation describes the format, to compare with PyTorch.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "json/record.h"
#include "model/model.h"
#include "ops/codes.h"
#include "ops/embedding.h"
#include "ops/head.h"
#include "ops/maturity.h"
#include "ops/optimizer.h"
#include "weights/safetensors.h"

namespace evo {
namespace {

using CodeGradient = ops::HeadLosses::CodeGradient;
using Path = std::filesystem::path;

struct Objective {
  CodeGradient code_gradient = CodeGradient::kNone;
  double flow = 0, inner = 0, maturity = 0, squared = 0;
};

/// N = Nm mature rows, then Ne evolving ones.
struct Batch {
  model::ForwardInput input;           ///< without z
  std::vector<int32_t> latent_ids;     ///< [Ne] the token whose code is in z
  std::vector<int32_t> next_tokens;    ///< [Nm] targets; -1: no loss
  std::vector<int32_t> own_tokens;     ///< [Ne] likewise
  std::vector<int32_t> previous;       ///< [Ne] for the inner field
  std::vector<uint8_t> block_starts;   ///< [Ne]
  std::vector<float> signal, kappa;    ///< [Ne]
  std::vector<float> squared_weights;  ///< [Ne]
  tensor::Tensor noise;                ///< [Ne, d] of unit variance
};

/// What a field that drafts yields.
struct DraftPass {
  std::vector<int32_t> targets;  ///< [Ne] -1: no loss
  tensor::Tensor o;              ///< [Ne, D]
  ops::HeadResult head;
  std::vector<float> kept;  ///< [Ne] 1 where the field's best token is the target
  ops::MaturityResult maturity;
};

/// What one pass over the batch yields.
struct Pass {
  tensor::Tensor h;           ///< [N, D]
  tensor::Tensor ahead_keys;  ///< what the field ahead sees of the mature rows
  ops::PosteriorTerm term;    ///< of the evolving rows
  ops::HeadResult ar, flow;
  DraftPass inner;
  std::optional<DraftPass> ahead;  ///< if the model has that field
  double loss = 0;                 ///< the objective
};

std::vector<int32_t> read_ints(const json::Record& record, std::string_view key, size_t size) {
  const std::vector<int64_t> values = record.get_ints(key);
  if (values.size() != size) {
    fail("{}: expected {} numbers in '{}', found {}", record.source(), size, key, values.size());
  }
  return {values.begin(), values.end()};
}

std::vector<int32_t> head_of(const std::vector<int32_t>& rows, size_t mature) {
  return {rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(mature)};
}

std::vector<int32_t> tail_of(const std::vector<int32_t>& rows, size_t mature) {
  return {rows.begin() + static_cast<std::ptrdiff_t>(mature), rows.end()};
}

std::vector<float> read_column(const weights::SafetensorsFile& file, std::string_view name,
                               size_t size) {
  std::vector<float> values(size);
  file.read_f32(name, {static_cast<int64_t>(size)}, values);
  return values;
}

tensor::Tensor read_matrix(const weights::SafetensorsFile& file, std::string_view name, size_t rows,
                           int64_t cols) {
  tensor::Tensor matrix = tensor::Tensor::empty({static_cast<int64_t>(rows), cols});
  file.read_f32(name, matrix.shape(), matrix.values());
  return matrix;
}

std::vector<ops::KeyRange> read_ranges(const json::Record& record, size_t rows) {
  const std::vector<int32_t> context_begin = read_ints(record, "context_begin", rows);
  const std::vector<int32_t> context_end = read_ints(record, "context_end", rows);
  const std::vector<int32_t> self_begin = read_ints(record, "self_begin", rows);
  const std::vector<int32_t> self_end = read_ints(record, "self_end", rows);
  std::vector<ops::KeyRange> ranges(rows);
  for (size_t r = 0; r < rows; ++r) {
    ranges[r] = {context_begin[r], context_end[r], self_begin[r], self_end[r]};
  }
  return ranges;
}

Batch read_batch(const Path& folder, const json::Record& record, int64_t code_size) {
  const size_t rows = record.get_ints("ids").size(), evolving = record.get_ints("previous").size();
  const auto mature = static_cast<size_t>(record.get_int("mature_rows"));
  if (mature == 0 || evolving == 0 || mature + evolving != rows) {
    fail("{}: expected rows of both kinds, found {} ids, mature_rows {} and {} previous tokens",
         record.source(), rows, mature, evolving);
  }
  const std::vector<int32_t> ids = read_ints(record, "ids", rows);
  const std::vector<int32_t> targets = read_ints(record, "targets", rows);
  const weights::SafetensorsFile floats(folder / "batch.safetensors");
  Batch batch;
  batch.input.ids = head_of(ids, mature);
  batch.latent_ids = tail_of(ids, mature);
  batch.next_tokens = head_of(targets, mature);
  batch.own_tokens = tail_of(targets, mature);
  batch.previous = read_ints(record, "previous", evolving);
  batch.input.positions = read_ints(record, "positions", rows);
  batch.input.ranges = read_ranges(record, rows);
  for (size_t r = mature; r < rows; ++r) {
    batch.block_starts.push_back(batch.input.ranges[r].self_begin == static_cast<int32_t>(r));
  }
  batch.input.times = read_column(floats, "time", evolving);
  batch.input.previous_x = read_matrix(floats, "x_prev", evolving, code_size);
  batch.signal = read_column(floats, "signal", evolving);
  batch.kappa = read_column(floats, "kappa", evolving);
  batch.squared_weights = read_column(floats, "squared_weights", evolving);
  batch.noise = read_matrix(floats, "noise", evolving, code_size);
  // The dump has sqrt(1 - a) e, the bridge wants e; a < 1, as kappa is finite.
  for (size_t r = 0; r < evolving; ++r) {
    const double deviation = std::sqrt(1 - static_cast<double>(batch.signal[r]));
    float* row = batch.noise.row(static_cast<int64_t>(r));
    for (int64_t i = 0; i < code_size; ++i) row[i] = static_cast<float>(row[i] / deviation);
  }
  return batch;
}

CodeGradient code_gradient_named(const std::string& name, const std::string& source) {
  if (name == "ce") return CodeGradient::kCrossEntropy;
  if (name == "mse") return CodeGradient::kSquaredError;
  if (name == "pca") return CodeGradient::kNone;
  fail("{}: expected code_gradient ce, mse or pca, found '{}'", source, name);
}

/// In batch.json, or else in config.json's "evo".
Objective read_objective(const Path& folder, const json::Record& batch) {
  const json::Record record = batch.has("objective")
                                  ? batch.get_record("objective")
                                  : json::Record::load(folder / "config.json").get_record("evo");
  return {code_gradient_named(record.get_string("code_gradient"), record.source()),
          record.get_double("flow_weight"), record.get_double("inner_weight"),
          record.get_double("maturity_weight"), record.get_double("squared_weight")};
}

/// A row's share of the mean over the rows that have a target: 0 for those that have none.
std::vector<float> shares(const std::vector<int32_t>& targets, double weight) {
  const auto without = static_cast<size_t>(std::ranges::count(targets, -1));
  const auto share = static_cast<float>(weight / static_cast<double>(targets.size() - without));
  std::vector<float> result(targets.size(), share);
  for (size_t r = 0; r < targets.size(); ++r) {
    if (targets[r] < 0) result[r] = 0;
  }
  return result;
}

/// [Ne] what the rows' |c - x|^2 count for: the dump's weights times `scale`, 0 without a target.
std::vector<float> squared_weights(const Batch& batch, const Objective& objective, double scale) {
  std::vector<float> weights(batch.own_tokens.size(), 0.0f);
  if (objective.code_gradient != CodeGradient::kSquaredError) return weights;
  for (size_t r = 0; r < weights.size(); ++r) {
    if (batch.own_tokens[r] >= 0) weights[r] = static_cast<float>(scale * batch.squared_weights[r]);
  }
  return weights;
}

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// Backbone and both of its losses; fills h, term, ar and flow.
void run_backbone(tensor::Tape& tape, const model::Model& model, const Batch& batch,
                  const Objective& objective, Pass& pass) {
  const bool train_latents = objective.code_gradient == CodeGradient::kCrossEntropy;
  const tensor::Tensor codes = model.codes(tape);
  model::ForwardInput input = batch.input;
  input.z = ops::gaussian_bridge(tape, train_latents ? codes : codes.detach(), batch.latent_ids,
                                 batch.signal, batch.noise);
  tensor::Tensor* const keys = model.config().ahead_size > 0 ? &pass.ahead_keys : nullptr;
  pass.h = model.forward(tape, input, {}, keys);
  pass.term = {input.z, batch.kappa, codes};

  const std::vector<float> ar_weights = shares(batch.next_tokens, 1);
  const ops::HeadLosses ar{batch.next_tokens, ar_weights, CodeGradient::kNone, {}};
  pass.ar = ops::head(tape, pass.h, 0, input.mature(), model.unembedding(), nullptr, &ar);

  const std::vector<float> flow_weights = shares(batch.own_tokens, objective.flow);
  const std::vector<float> squared = squared_weights(batch, objective, objective.squared);
  const ops::HeadLosses flow{batch.own_tokens, flow_weights, objective.code_gradient, squared};
  pass.flow = ops::head(tape, pass.h, input.mature(), input.evolving(), model.unembedding(),
                        &pass.term, &flow);
  pass.loss += pass.ar.loss + pass.flow.loss + dot(squared, pass.flow.squared_error);
}

ops::PosteriorTerm detached(const ops::PosteriorTerm& term) {
  return {term.z.detach(), term.kappa, term.codes.detach()};
}

/// Losses of what a field drafted, drafts.o for drafts.targets; `term` may be null. Fills the rest.
void judge_drafts(tensor::Tape& tape, const model::Model& model, const Objective& objective,
                  const ops::PosteriorTerm* term, const tensor::Tensor& maturity_weight,
                  DraftPass& drafts) {
  const std::vector<float> weights = shares(drafts.targets, objective.inner);
  const ops::HeadLosses losses{drafts.targets, weights, CodeGradient::kNone, {}};
  drafts.head =
      ops::head(tape, drafts.o, 0, drafts.o.rows(), model.detached_unembedding(), term, &losses);
  for (size_t r = 0; r < drafts.targets.size(); ++r) {
    drafts.kept.push_back(drafts.head.argmax[r] == drafts.targets[r] ? 1.0f : 0.0f);
  }
  drafts.maturity =
      ops::maturity(tape, drafts.o.detach(), drafts.head.log_pmax, drafts.head.entropy,
                    maturity_weight, drafts.kept, shares(drafts.targets, objective.maturity));
}

/// Inner field and maturity, which read the backbone detached; fills inner.
void run_inner(tensor::Tape& tape, const model::Model& model, const Batch& batch,
               const Objective& objective, Pass& pass) {
  const int64_t mature = batch.input.mature(), evolving = batch.input.evolving();
  const tensor::Tensor states = ops::slice_rows(tape, pass.h.detach(), mature, mature + evolving);
  pass.inner.targets = batch.own_tokens;
  pass.inner.o = model.inner_field(tape, states, batch.previous, batch.block_starts);
  const ops::PosteriorTerm term = detached(pass.term);
  judge_drafts(tape, model, objective, &term, model.maturity_weight(), pass.inner);
  pass.loss += pass.inner.head.loss + pass.inner.maturity.loss;
}

/// The field that drafts ahead, likewise; fills ahead.
void run_ahead(tensor::Tape& tape, const model::Model& model, const Batch& batch,
               const Objective& objective, Pass& pass) {
  const int64_t mature = batch.input.mature(), evolving = batch.input.evolving();
  DraftPass& ahead = pass.ahead.emplace();
  model::AheadInput input{tensor::Tensor::empty({evolving, pass.h.cols()}),
                          pass.ahead_keys,
                          batch.previous,
                          {},
                          {},
                          batch.block_starts};
  ahead.targets = batch.own_tokens;
  for (int64_t r = 0; r < evolving; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto row = static_cast<size_t>(mature + r);
    const ops::KeyRange& seen = batch.input.ranges[row];
    std::copy_n(pass.h.row(seen.context_end - 1), pass.h.cols(), input.h.row(r));
    input.positions.push_back(batch.input.positions[row] - 1);
    input.context.push_back({seen.context_begin, seen.context_end, 0, 0});
    if (batch.block_starts[i] != 0) ahead.targets[i] = -1;
    if (i > 0 && batch.block_starts[i - 1] != 0) input.starts[i] = 1;
  }
  ahead.o = model.ahead_field(tape, input);
  judge_drafts(tape, model, objective, nullptr, model.ahead_maturity_weight(), ahead);
  pass.loss += ahead.head.loss + ahead.maturity.loss;
}

/// One pass with its gradient, which replaces the one in the model.
Pass run_pass(const model::Model& model, const Batch& batch, const Objective& objective) {
  model.parameters().zero_gradients();  // before the pass: the heads add theirs in it
  tensor::Tape tape(tensor::Tape::Mode::kTraining);
  Pass pass;
  run_backbone(tape, model, batch, objective, pass);
  run_inner(tape, model, batch, objective, pass);
  if (model.config().ahead_size > 0) run_ahead(tape, model, batch, objective, pass);
  tape.backward();
  return pass;
}

/// [Ne] the maturity's cross-entropy by row, 0 without a target: maturity() yields only the sum,
/// and the rounded probability has too few digits of what is close to 1.
std::vector<float> maturity_by_row(const DraftPass& drafts, const tensor::Tensor& weight) {
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const float one = 1;
  std::vector<float> losses(drafts.kept.size(), 0.0f);
  for (size_t r = 0; r < losses.size(); ++r) {
    if (drafts.targets[r] < 0) continue;
    const auto row = static_cast<int64_t>(r);
    losses[r] = static_cast<float>(
        ops::maturity(tape, ops::slice_rows(tape, drafts.o, row, row + 1),
                      {&drafts.head.log_pmax[r], 1}, {&drafts.head.entropy[r], 1}, weight,
                      {&drafts.kept[r], 1}, {&one, 1})
            .loss);
  }
  return losses;
}

/// The quantities by name, with their numbers.
class Results {
 public:
  void add(const std::string& name, std::vector<int64_t> shape, std::span<const float> values) {
    arrays_[name] = {std::move(shape), {values.begin(), values.end()}};
  }
  void add(const std::string& name, const tensor::Tensor& tensor) {
    add(name, tensor.shape(), tensor.values());
  }
  void add(const std::string& name, std::span<const float> values) {
    add(name, {static_cast<int64_t>(values.size())}, values);
  }
  void add(const std::string& name, double value) {
    const auto rounded = static_cast<float>(value);
    add(name, std::span(&rounded, 1));
  }

  void write(const Path& path) const {
    std::vector<weights::ArrayToWrite> list;
    for (const auto& [name, array] : arrays_) list.push_back({name, array.shape, array.values});
    weights::write_safetensors(path, list);
  }

 private:
  struct Array {
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::map<std::string, Array> arrays_;
};

void add_states(const model::Model& model, const Batch& batch, const Pass& pass, Results& results) {
  const int64_t mature = batch.input.mature(), evolving = batch.input.evolving();
  tensor::Tape tape(tensor::Tape::Mode::kInference);
  const ops::Weight& unembedding = model.unembedding();
  results.add("hidden", pass.h);
  results.add("z", pass.term.z);
  results.add("x", pass.flow.mean_code);
  results.add("maturity", pass.inner.maturity.probability);
  results.add("mature_logits", ops::head_logits(tape, pass.h, 0, mature, unembedding, nullptr));
  results.add("evolving_logits",
              ops::head_logits(tape, pass.h, mature, evolving, unembedding, &pass.term));
  results.add("inner_logits",
              ops::head_logits(tape, pass.inner.o, 0, evolving, unembedding, &pass.term));
  if (!pass.ahead) return;
  results.add("ahead_logits",
              ops::head_logits(tape, pass.ahead->o, 0, evolving, unembedding, nullptr));
}

void add_losses(const model::Model& model, const Batch& batch, const Objective& objective,
                const Pass& pass, Results& results) {
  const auto add = [&](const std::string& name, std::span<const float> rows, double loss) {
    results.add("nll." + name, rows);
    results.add("loss." + name, loss);
  };
  const auto add_drafts = [&](const char* nll, const char* maturity, const DraftPass& drafts,
                              const tensor::Tensor& weight) {
    const std::vector<float> share = shares(drafts.targets, 1);
    const std::vector<float> kept = maturity_by_row(drafts, weight);
    add(nll, drafts.head.nll, dot(share, drafts.head.nll));
    add(maturity, kept, dot(share, kept));
  };
  add("ar", pass.ar.nll, dot(shares(batch.next_tokens, 1), pass.ar.nll));
  add("flow", pass.flow.nll, dot(shares(batch.own_tokens, 1), pass.flow.nll));
  add_drafts("inner", "maturity", pass.inner, model.maturity_weight());
  if (pass.ahead) {
    add_drafts("ahead", "ahead_maturity", *pass.ahead, model.ahead_maturity_weight());
  }
  results.add("loss", pass.loss);
  if (objective.code_gradient != CodeGradient::kSquaredError) return;
  const std::vector<float> weights = squared_weights(batch, objective, 1);
  std::vector<float> squared = pass.flow.squared_error;
  for (size_t r = 0; r < squared.size(); ++r) squared[r] *= weights[r];
  add("squared", squared, dot(weights, pass.flow.squared_error));
}

void add_gradients(const model::ParameterStore& store, Results& results) {
  for (const model::Parameter& p : store.list()) {
    results.add("grad." + p.name, p.shape, store.gradients().subspan(p.offset, p.numel()));
  }
}

/// Ten (or "steps") updates on the one batch, the first with the gradient that is there; returns
/// the objective after each.
std::vector<float> take_steps(const model::Model& model, const Batch& batch,
                              const Objective& objective, const json::Record& settings) {
  const model::ParameterStore& store = model.parameters();
  std::vector<float> first(store.values().size(), 0.0f), second = first, losses;
  ops::AdamwStep update;
  update.learning_rate = static_cast<float>(settings.get_double("lr"));
  update.beta1 = static_cast<float>(settings.get_double("beta1"));
  update.beta2 = static_cast<float>(settings.get_double("beta2"));
  update.eps = static_cast<float>(settings.get_double("eps"));
  const auto decay = static_cast<float>(settings.get_double("weight_decay"));
  const double clip = settings.get_double("clip_norm");
  const int64_t steps = settings.get_int("steps");
  for (update.step = 1; update.step <= steps; ++update.step) {
    const double norm = std::sqrt(ops::sum_of_squares(store.gradients()));
    update.gradient_scale = static_cast<float>(norm > clip ? clip / norm : 1.0);
    for (const model::Parameter& p : store.list()) {
      // What has no gradient is not decayed either.
      if (p.name == "evo.codes" && objective.code_gradient == CodeGradient::kNone) continue;
      const auto offset = static_cast<size_t>(p.offset), count = static_cast<size_t>(p.numel());
      update.weight_decay = p.decays() ? decay : 0.0f;
      ops::adamw(store.values_of(p), store.gradients().subspan(offset, count),
                 std::span(first).subspan(offset, count), std::span(second).subspan(offset, count),
                 update);
    }
    losses.push_back(static_cast<float>(run_pass(model, batch, objective).loss));
  }
  return losses;
}

void write_expected(const Path& folder) {
  const model::Model loaded = model::Model::load(folder.string());
  const model::Model model(loaded.config(), true);
  std::ranges::copy(loaded.parameters().values(), model.parameters().values().begin());
  const json::Record record = json::Record::load(folder / "batch.json");
  const Batch batch = read_batch(folder, record, model.config().code_size);
  const Objective objective = read_objective(folder, record);

  Results results;
  const Pass pass = run_pass(model, batch, objective);
  add_states(model, batch, pass, results);
  add_losses(model, batch, objective, pass, results);
  add_gradients(model.parameters(), results);
  results.add("step_losses", take_steps(model, batch, objective, record.get_record("optimizer")));
  results.write(folder / "expected.safetensors");
}

}  // namespace
}  // namespace evo

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: evo_parity DUMP (a folder made by reference/check.py --generate)\n");
    return 2;
  }
  try {
    evo::write_expected(argv[1]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "evo_parity: {}\n", error.what());
    return 1;
  }
  return 0;
}
