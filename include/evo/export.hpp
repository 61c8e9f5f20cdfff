// What the shared library shows of itself.
#pragma once

#define EVO_API __attribute__((visibility("default")))
