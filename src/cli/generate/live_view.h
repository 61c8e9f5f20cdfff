// A terminal that shows how a text comes into being.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "decode/trace/trace.h"

namespace evo::cli {

/// Shows text as it becomes certain and, behind it, the tokens that are not, coloured by maturity
/// from red (will change) over yellow to green (will stay), as far as they fit on the line.
///
/// What is uncertain is erased from the cursor on, so the cursor must never wait in the last column
/// behind a character that stands there: the character that would fill a line waits for what
/// follows it. Where it cannot be known how far the cursor is (terminals disagree about the width
/// of some characters, and about what becomes of lines when they are resized), text is only
/// appended and nothing uncertain is shown until the line ends.
class LiveView {
 public:
  /// On standard output as it is: in colour, live, or neither.
  LiveView();
  /// `live`: the terminal obeys commands; otherwise text is only appended.
  LiveView(bool live, bool color) : live_(live), color_(color), located_(live) {}

  /// Replaces what is uncertain on standard output. `status`: shown on the line below, if any.
  void show(std::string_view text, std::span<const decode::TraceToken> tokens,
            std::string_view status = {});
  /// The rest of the text; takes away what is uncertain.
  void end(std::string_view text);

  /// What show() writes to a terminal of this width in columns. Control characters of a text would
  /// be commands to the terminal: dots stand for them, line ends and tabs excepted.
  [[nodiscard]] std::string frame(std::string_view text, std::span<const decode::TraceToken> tokens,
                                  std::string_view status, size_t width);
  /// What end() writes.
  [[nodiscard]] std::string last_frame(std::string_view text, size_t width);

 private:
  [[nodiscard]] std::string take_away(size_t width);
  [[nodiscard]] std::string advance(std::string_view text, bool more_follows);
  [[nodiscard]] std::string tokens_that_fit(std::span<const decode::TraceToken> tokens) const;
  [[nodiscard]] std::string painted(std::string_view style, const std::string& text) const;

  bool live_, color_;
  bool located_;         // `column_` is where the cursor is
  bool behind_ = true;   // there may be something to take away behind the cursor
  size_t width_ = 0;     // of the terminal, at the last frame
  size_t column_ = 0;    // of the cursor, below `width_`
  std::string waiting_;  // text that is not shown before what follows it is known
};

}  // namespace evo::cli
