// evo from C++: open a model, let it write, score texts, train and adapt.
#pragma once

#include <evo/error.hpp>
#include <evo/messages.hpp>
#include <evo/model.hpp>
#include <evo/train.hpp>

namespace evo {
using namespace api;  // so that users say evo::Model; the inside has names of its own
}  // namespace evo
