// The command line of kernprof-launch.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

// A mistake of the caller: one line on stderr, exit status 2.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Something that this machine lacks: one line on stderr, exit status 4.
struct Unavailable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Extent {
    unsigned x = 1, y = 1, z = 1;
};

enum class Fill { zero, random, arange };

// One kernel argument: a buffer of 4-byte elements, a null pointer, or a 32-bit scalar.
struct Argument {
    enum class Kind { buffer, null, scalar } kind = Kind::null;
    std::size_t elements = 0;
    Fill fill = Fill::zero;
    std::uint32_t bits = 0;
};

struct Request {
    bool help = false;
    bool list = false;
    std::string kernel;
    std::string machine_code; // empty: the built fatbin that holds the kernel
    std::string shape;        // "m=64,n=9": the Python package gives geometry and arguments
    Extent grid, block;
    bool has_grid = false, has_block = false;
    unsigned shared_bytes = 0;
    int repeat = 1;
    int device = 0;
    std::vector<Argument> arguments;
};

// Throws UsageError.
Request parse(const std::vector<std::string> &words);

extern const char *const kUsage;
