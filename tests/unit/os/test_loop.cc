#include "os/loop.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

using namespace fortros;

namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        reader = Fd{ends[0]};
        writer = Fd{ends[1]};
    }
    void put(char c = 'x') const { REQUIRE(::write(writer.get(), &c, 1) == 1); }
    char take() const {
        char c = 0;
        return ::read(reader.get(), &c, 1) == 1 ? c : '\0';
    }
    Fd reader, writer;
};

std::unique_ptr<Loop> make_loop() {
    auto loop = Loop::create();
    REQUIRE(loop.has_value());
    return std::move(*loop);
}

}  // namespace

// Nothing that comes over a wire would be noticed.
TEST_CASE("loop: a descriptor that becomes ready is told, for as long as it is watched") {
    auto loop = make_loop();
    Pipe pipe;
    std::string heard;
    auto watch = loop->watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t events) {
        CHECK((events & EPOLLIN) != 0);
        heard += pipe.take();
        if (heard.size() < 3)
            pipe.put("abc"[heard.size()]);
        else
            loop->stop();
    });
    REQUIRE(watch.has_value());
    pipe.put('a');
    REQUIRE(loop->run().has_value());
    CHECK(heard == "abc");

    *watch = {};
    pipe.put();
    auto end = loop->after(1ms, [&] { loop->stop(); });
    REQUIRE(loop->run().has_value());
    CHECK(heard == "abc");
}

// A writer that waits for room would spin, or never go on.
TEST_CASE("loop: what is watched for can be changed") {
    auto loop = make_loop();
    Pipe pipe;
    int calls = 0;
    auto watch = loop->watch(pipe.writer.get(), EPOLLIN, [&](std::uint32_t events) {
        CHECK((events & EPOLLOUT) != 0);
        ++calls;
        loop->stop();
    });
    REQUIRE(watch.has_value());
    auto later = loop->after(0s, [&] {
        CHECK(calls == 0);
        REQUIRE(watch->change(EPOLLOUT).has_value());
    });
    REQUIRE(loop->run().has_value());
    CHECK(calls == 1);
}

// A connection that ends inside its own event would take the program with it.
TEST_CASE("loop: a watch may be destroyed inside its own call and another's") {
    auto loop = make_loop();
    Pipe first, second;
    std::optional<Loop::Watch> a, b;
    int calls = 0;
    auto once = [&](std::uint32_t) {
        // Captures are used after both are gone.
        ++calls;
        a.reset();
        b.reset();
        ++calls;
    };
    a = std::move(*loop->watch(first.reader.get(), EPOLLIN, once));
    b = std::move(*loop->watch(second.reader.get(), EPOLLIN, once));
    first.put();
    second.put();
    auto end = loop->after(1ms, [&] { loop->stop(); });
    REQUIRE(loop->run().has_value());
    CHECK(calls == 2);  // both were ready in one turn, and one of them was called
}

// An event of a closed connection would reach the next one, which got the same number.
TEST_CASE("loop: a new watch on a reused descriptor hears nothing of the old one") {
    auto loop = make_loop();
    Pipe pipe, other;
    int old_calls = 0, new_calls = 0;
    std::optional<Loop::Watch> watch =
        std::move(*loop->watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t) { ++old_calls; }));
    pipe.put();
    watch.reset();
    const int number = pipe.reader.get();
    REQUIRE(::dup3(other.reader.get(), number, O_CLOEXEC) == number);
    watch = std::move(*loop->watch(number, EPOLLIN, [&](std::uint32_t) {
        ++new_calls;
        other.take();
        loop->stop();
    }));
    other.put();
    REQUIRE(loop->run().has_value());
    CHECK(old_calls == 0);
    CHECK(new_calls == 1);
}

// Deadlines would come in the wrong order, twice, or not at all.
TEST_CASE("loop: timers run once, each not before its time") {
    auto loop = make_loop();
    const Instant began = monotonic_now();
    std::string order;
    auto third = loop->at(began + 6ms, [&] {
        CHECK(monotonic_now() >= began + 6ms);
        order += '3';
        loop->stop();
    });
    auto first = loop->at(began + 1ms, [&] { order += '1'; });
    auto second = loop->at(began + 3ms, [&] { order += '2'; });
    auto never = loop->at(began + 2ms, [&] { order += 'x'; });
    never = {};
    REQUIRE(loop->run().has_value());
    CHECK(order == "123");
}

// After a stall everything is due at once; a back-off must not run before the answer that it waits on.
TEST_CASE("loop: timers that are late come in the order of their deadlines") {
    auto loop = make_loop();
    const Instant began = monotonic_now();
    std::string order;
    auto second = loop->at(began - 2ms, [&] { order += '2'; });
    auto first = loop->at(began - 3ms, [&] { order += '1'; });
    auto third = loop->at(began - 1ms, [&] {
        order += '3';
        loop->stop();
    });
    REQUIRE(loop->run().has_value());
    CHECK(order == "123");
}

// A deadline set anew in its own call would be lost, or keep everything else waiting.
TEST_CASE("loop: a timer may renew itself, and starves nobody") {
    auto loop = make_loop();
    Pipe pipe;
    Loop::Timer timer;
    int ticks = 0;
    std::function<void()> tick = [&] {
        ++ticks;
        timer = loop->at(Instant{}, tick);  // long due
    };
    timer = loop->at(Instant{}, tick);
    auto watch = loop->watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t) { loop->stop(); });
    auto later = loop->after(2ms, [&] { pipe.put(); });
    REQUIRE(loop->run().has_value());
    CHECK(ticks > 1);
}

// A cancelled attempt's deadline would strike its successor.
TEST_CASE("loop: a timer that is destroyed by another of the same turn does not run") {
    auto loop = make_loop();
    Loop::Timer second;
    bool ran = false;
    auto first = loop->after(0s, [&] { second = {}; });
    second = loop->after(0s, [&] { ran = true; });
    auto end = loop->after(1ms, [&] { loop->stop(); });
    REQUIRE(loop->run().has_value());
    CHECK_FALSE(ran);
}

// Moving a connection into its place would stop its watch.
TEST_CASE("loop: watches and timers move") {
    auto loop = make_loop();
    Pipe pipe;
    int calls = 0;
    Loop::Watch moved_watch;
    Loop::Timer moved_timer;
    {
        Loop::Watch watch = std::move(*loop->watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t) {
            pipe.take();
            ++calls;
        }));
        Loop::Timer timer = loop->after(1ms, [&] { loop->stop(); });
        Loop::Watch between = std::move(watch);
        Loop::Timer between_timer = std::move(timer);
        moved_watch = std::move(between);
        moved_timer = std::move(between_timer);
    }
    pipe.put();
    REQUIRE(loop->run().has_value());
    CHECK(calls == 1);
}

// A failing watch would end the program instead of one attempt.
TEST_CASE("loop: a descriptor that can't be watched is an error") {
    auto loop = make_loop();
    CHECK_FALSE(loop->watch(-1, EPOLLIN, [](std::uint32_t) {}).has_value());
}

// Whoever watches a gateway would be answered when all of ten thousand nodes have been.
TEST_CASE("loop: a descriptor of the first kind waits for one other callback, and they for it") {
    auto loop = make_loop();
    constexpr int crowd = 40;
    std::vector<Pipe> pipes(crowd);
    std::vector<Loop::Watch> watches;
    std::string heard;
    const auto stop_at_the_end = [&] {
        if (heard.size() == crowd + 2) loop->stop();
    };
    for (auto& pipe : pipes) {
        pipe.put();
        watches.push_back(std::move(*loop->watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t) {
            pipe.take();
            heard += '.';
            stop_at_the_end();
        })));
    }
    Pipe first, second;
    const auto say = [&](const Pipe& pipe, char c) {
        return [&, c](std::uint32_t) {
            pipe.take();
            heard += c;
            stop_at_the_end();
        };
    };
    const auto a = loop->watch(first.reader.get(), EPOLLIN, say(first, 'a'), Loop::Order::First);
    const auto b = loop->watch(second.reader.get(), EPOLLIN, say(second, 'b'), Loop::Order::First);
    REQUIRE(a);
    REQUIRE(b);
    first.put();
    second.put();
    REQUIRE(loop->run());
    CHECK((heard.starts_with("a.b.") || heard.starts_with("b.a.") || heard.starts_with("ab.") ||
           heard.starts_with("ba.")));
}

// A timer that is due all the time, as the next handshake is, would keep them out.
TEST_CASE("loop: a descriptor of the first kind comes between timers that are due, and alone") {
    auto loop = make_loop();
    Pipe pipe;
    int timers = 0;
    int before = -1;
    std::vector<Loop::Timer> due;
    const auto watch = loop->watch(
        pipe.reader.get(), EPOLLIN,
        [&](std::uint32_t) {
            pipe.take();
            before = timers;
            if (timers > 1) loop->stop();
        },
        Loop::Order::First);
    REQUIRE(watch);
    for (int i = 0; i < 20; ++i)
        due.push_back(loop->after({}, [&] {
            if (++timers == 2) pipe.put();
        }));
    REQUIRE(loop->run());
    CHECK(before == 2);

    // Nothing else is to do: it wakes the loop by itself.
    due.clear();
    pipe.put();
    REQUIRE(loop->run());
}
