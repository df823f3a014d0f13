/* Breaks when frames that arrive in pieces, together, or with descriptors come out wrong, or a
 * descriptor leaks. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "transport/transport.h"

/* Two ends of one connection, made by the real listener. */
struct pair {
    struct weft_link client, server;
};

static void pair_open(struct pair *pair)
{
    char path[] = "/tmp/weft-frame-XXXXXX";
    assert_non_null(mkdtemp(path));
    char socket_path[64];
    snprintf(socket_path, sizeof(socket_path), "%s/s", path);
    int listener = weft_unix_listen(socket_path, 0600, (uid_t)-1, NULL);
    assert_true(listener >= 0);
    assert_int_equal(weft_unix_connect(socket_path, &pair->client, NULL), 0);
    assert_int_equal(weft_unix_accept(listener, &pair->server, NULL), 1);
    struct weft_link none;
    assert_int_equal(weft_unix_accept(listener, &none, NULL), 0);
    close(listener);
    unlink(socket_path);
    rmdir(path);
}

static void pair_close(struct pair *pair)
{
    weft_link_close(&pair->client);
    weft_link_close(&pair->server);
}

static int open_descriptors(void)
{
    DIR *listing = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(listing))
        count++;
    closedir(listing);
    return count;
}

static void make_report(struct weft_packet *packet, const char *text, size_t fd_count)
{
    struct weft_wire_report report = {0};
    snprintf(report.text, sizeof(report.text), "%s", text);
    weft_packet_init(packet);
    weft_wire_report_encode(&report, &packet->body);
    assert_int_equal(weft_packet_seal(packet, WEFT_WIRE_REPORT, fd_count, NULL), 0);
}

static void assert_report(const struct weft_inbox *inbox, const char *text)
{
    struct weft_wire_report report;
    assert_int_equal(inbox->header.type, WEFT_WIRE_REPORT);
    assert_int_equal(
        weft_wire_report_decode(weft_inbox_reader(inbox), inbox->header.minor, &report, NULL), 0);
    assert_string_equal(report.text, text);
}

static void frames_in_single_bytes(void **state)
{
    (void)state;
    struct pair pair;
    struct weft_packet packet;
    struct weft_inbox inbox;
    pair_open(&pair);
    weft_inbox_init(&inbox, 0);
    make_report(&packet, "in pieces", 0);
    for (size_t i = 0; i < packet.size; i++) {
        assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), 0);
        assert_int_equal(send(pair.client.fd, packet.bytes + i, 1, 0), 1);
    }
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), 1);
    assert_report(&inbox, "in pieces");
    weft_inbox_finish(&inbox);
    pair_close(&pair);
}

static void frames_that_come_together(void **state)
{
    (void)state;
    struct pair pair;
    struct weft_packet packet;
    struct weft_inbox inbox;
    pair_open(&pair);
    weft_inbox_init(&inbox, 0);
    make_report(&packet, "one", 0);
    assert_int_equal(weft_link_send(&pair.client, &packet, NULL, 0, 1000, NULL), 0);
    make_report(&packet, "two", 0);
    assert_int_equal(weft_link_send(&pair.client, &packet, NULL, 0, 1000, NULL), 0);
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), 1);
    assert_report(&inbox, "one");
    weft_inbox_next(&inbox);
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), 1);
    assert_report(&inbox, "two");
    weft_inbox_next(&inbox);
    weft_link_close(&pair.client);
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), -WEFT_ECONN);
    weft_inbox_finish(&inbox);
    pair_close(&pair);
}

static void descriptors_arrive_and_do_not_leak(void **state)
{
    (void)state;
    struct pair pair;
    struct weft_packet packet;
    struct weft_inbox inbox;
    int before = open_descriptors();
    pair_open(&pair);
    int fds[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    make_report(&packet, "with two", 2);
    assert_int_equal(weft_link_send(&pair.client, &packet, fds, 2, 1000, NULL), 0);
    weft_inbox_init(&inbox, 2);
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), 1);
    assert_int_equal(inbox.fd_count, 2);
    assert_int_not_equal(fcntl(inbox.fds[1], F_GETFD) & FD_CLOEXEC, 0);
    char byte = 1;
    assert_int_equal(read(inbox.fds[1], &byte, 1), 1);
    assert_int_equal(byte, 0);
    weft_inbox_finish(&inbox);
    close(fds[0]);
    close(fds[1]);
    pair_close(&pair);
    assert_int_equal(open_descriptors(), before);
}

/* `announced` in the header, `sent` beside it, into an inbox that takes `room`. */
static void assert_refused(size_t announced, size_t sent, size_t room)
{
    struct pair pair;
    struct weft_packet packet;
    struct weft_inbox inbox;
    int before = open_descriptors(), fds[4];
    pair_open(&pair);
    for (size_t i = 0; i < sent; i++)
        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    make_report(&packet, "x", announced);
    assert_int_equal(weft_link_send(&pair.client, &packet, fds, sent, 1000, NULL), 0);
    weft_inbox_init(&inbox, room);
    assert_int_equal(weft_inbox_fill(&inbox, &pair.server, NULL), -WEFT_EPROTO);
    weft_inbox_finish(&inbox);
    for (size_t i = 0; i < sent; i++)
        close(fds[i]);
    pair_close(&pair);
    assert_int_equal(open_descriptors(), before);
}

static void wrong_counts_of_descriptors_are_refused(void **state)
{
    (void)state;
    assert_refused(1, 0, 4);
    assert_refused(0, 1, 4);
    assert_refused(2, 1, 4);
    assert_refused(3, 3, 2);
    assert_refused(1, 1, 0);
}

static void waiting_is_bounded(void **state)
{
    (void)state;
    struct pair pair;
    struct weft_inbox inbox;
    struct weft_err err = {0};
    pair_open(&pair);
    weft_inbox_init(&inbox, 0);
    assert_int_equal(weft_link_expect(&pair.client, &inbox, WEFT_WIRE_DONE, 10, &err),
                     -WEFT_ETIMEDOUT);
    weft_inbox_finish(&inbox);
    pair_close(&pair);
}

static void errors_of_the_peer_become_ours(void **state)
{
    (void)state;
    struct pair pair;
    struct weft_packet packet;
    struct weft_inbox inbox;
    struct weft_err err = {0};
    const struct weft_wire_error message = {.code = WEFT_EBUSY, .text = "come later"};
    pair_open(&pair);
    weft_packet_init(&packet);
    weft_wire_error_encode(&message, &packet.body);
    assert_int_equal(weft_packet_seal(&packet, WEFT_WIRE_ERROR, 0, NULL), 0);
    assert_int_equal(weft_link_send(&pair.server, &packet, NULL, 0, 1000, NULL), 0);
    weft_inbox_init(&inbox, 0);
    assert_int_equal(weft_link_expect(&pair.client, &inbox, WEFT_WIRE_DONE, 1000, &err),
                     -WEFT_EBUSY);
    assert_string_equal(err.text, "come later");
    weft_inbox_finish(&inbox);
    pair_close(&pair);
}

static void messages_over_their_room_are_our_bug(void **state)
{
    (void)state;
    struct weft_packet packet;
    struct weft_wire_report report = {0};
    weft_packet_init(&packet);
    memset(report.text, 'x', sizeof(report.text) - 1);
    for (int i = 0; i < 9; i++)
        weft_wire_report_encode(&report, &packet.body);
    assert_int_equal(weft_packet_seal(&packet, WEFT_WIRE_REPORT, 0, NULL), -WEFT_EBUG);
}

static void long_paths_are_refused(void **state)
{
    (void)state;
    char path[200];
    struct weft_link link;
    struct weft_err err = {0};
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    assert_int_equal(weft_unix_connect(path, &link, &err), -WEFT_ERANGE);
    assert_non_null(strstr(err.text, "107"));
    path[107] = '\0';
    assert_int_equal(weft_unix_connect(path, &link, &err), -WEFT_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_in_single_bytes),
        cmocka_unit_test(frames_that_come_together),
        cmocka_unit_test(descriptors_arrive_and_do_not_leak),
        cmocka_unit_test(wrong_counts_of_descriptors_are_refused),
        cmocka_unit_test(waiting_is_bounded),
        cmocka_unit_test(errors_of_the_peer_become_ours),
        cmocka_unit_test(messages_over_their_room_are_our_bug),
        cmocka_unit_test(long_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
