// What the tests of pictures share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace evo::testing {

inline size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// Contents of the elements <text class="CSS">.
inline std::vector<std::string> texts(const std::string& svg, const std::string& css) {
  const std::regex pattern("class=\"" + css + "\">([^<]*)</text>");
  std::vector<std::string> result;
  for (std::sregex_iterator match(svg.begin(), svg.end(), pattern), end; match != end; ++match) {
    result.push_back((*match)[1]);
  }
  return result;
}

/// Every tag that opens closes, in order.
inline void expect_balanced(const std::string& svg) {
  const std::regex tag("<(/?)([a-z]+)[^<>]*?(/?)>");
  std::vector<std::string> open;
  for (std::sregex_iterator match(svg.begin(), svg.end(), tag), end; match != end; ++match) {
    if ((*match)[3].length() > 0) continue;
    if ((*match)[1].length() == 0) {
      open.push_back((*match)[2]);
    } else {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), (*match)[2]);
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(count(svg, "<"), count(svg, ">"));
}

}  // namespace evo::testing
