#include "grammar/grammar_state.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/automaton.h"

namespace evo::grammar {

/// What was found out so far.
struct GrammarState::Memory {
  static constexpr size_t kMaskBytes = size_t{4} << 20;

  explicit Memory(const Program& program) : automaton(program) {}

  const std::vector<uint8_t>& mask_of(int32_t state, const TokenTrie& trie);

  Automaton automaton;
  std::unordered_map<int32_t, std::vector<uint8_t>> masks;  // state -> [V]
};

struct GrammarState::Shared {
  Shared(Grammar of_texts, std::shared_ptr<const TokenTrie> of_tokens)
      : grammar(std::move(of_texts)),
        trie(std::move(of_tokens)),
        newest(std::make_shared<Memory>(grammar.program())) {}

  Grammar grammar;
  std::shared_ptr<const TokenTrie> trie;
  std::mutex mutex;  // of all memories
  /// The one that states move to when theirs is full; they let go of the old one by and by.
  std::shared_ptr<Memory> newest;
};

const std::vector<uint8_t>& GrammarState::Memory::mask_of(int32_t state, const TokenTrie& trie) {
  const auto known = masks.find(state);
  if (known != masks.end()) return known->second;
  const auto size = static_cast<size_t>(trie.vocab_size());
  if ((masks.size() + 1) * size > kMaskBytes) masks.clear();
  std::vector<uint8_t>& mask = masks[state];
  mask.resize(size);
  trie.walk(
      state, [&](int32_t from, uint8_t byte) { return automaton.step(from, byte); },
      [&](int32_t token) { mask[token] = 1; });
  if (automaton.complete(state)) {
    for (const int32_t end : trie.ends()) mask[end] = 1;
  }
  return mask;
}

GrammarState::GrammarState(Grammar grammar, std::shared_ptr<const TokenTrie> trie)
    : shared_(std::make_shared<Shared>(std::move(grammar), std::move(trie))),
      memory_(shared_->newest),
      state_(memory_->automaton.start()) {}

/// The state after a token of the text, under the lock.
int32_t GrammarState::after(int32_t token) const {
  const std::string_view bytes = shared_->trie->bytes(token);
  int32_t state = bytes.empty() ? Automaton::kDead : state_;
  for (const char byte : bytes) {
    state = memory_->automaton.step(state, static_cast<uint8_t>(byte));
    if (state == Automaton::kDead) break;
  }
  return state;
}

bool GrammarState::advance(int32_t token) {
  if (shared_->trie->is_end(token)) return complete();
  const std::lock_guard lock(shared_->mutex);
  const int32_t next = after(token);
  if (next == Automaton::kDead) return false;
  state_ = next;
  if (memory_->automaton.full()) {
    if (shared_->newest == memory_) {
      shared_->newest = std::make_shared<Memory>(shared_->grammar.program());
    }
    state_ = shared_->newest->automaton.adopt(memory_->automaton, state_);
    memory_ = shared_->newest;
  }
  return true;
}

bool GrammarState::accepts(int32_t token) const {
  if (shared_->trie->is_end(token)) return complete();
  const std::lock_guard lock(shared_->mutex);
  return after(token) != Automaton::kDead;
}

void GrammarState::allowed(std::span<uint8_t> mask) const {
  const std::lock_guard lock(shared_->mutex);
  const std::vector<uint8_t>& known = memory_->mask_of(state_, *shared_->trie);
  // The model may have more rows than the tokenizer has tokens, or lack the last of these.
  const auto shared = static_cast<ptrdiff_t>(std::min(known.size(), mask.size()));
  std::copy(known.begin(), known.begin() + shared, mask.begin());
  std::fill(mask.begin() + shared, mask.end(), uint8_t{0});
}

bool GrammarState::complete() const {
  const std::lock_guard lock(shared_->mutex);
  return memory_->automaton.complete(state_);
}

bool GrammarState::final() const {
  const std::lock_guard lock(shared_->mutex);
  return memory_->automaton.final(state_);
}

}  // namespace evo::grammar
