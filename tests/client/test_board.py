"""Who is told of a writer that is lost, also before any was known: DNS's word alone may have lent connections."""

import threading

import pytest

from farshore.client.lanes import Board


class Lane:
    def __init__(self):
        self.losses = self.drops = self.looks = 0

    def drop(self):
        self.drops += 1

    def wake(self):
        self.looks += 1


@pytest.fixture
def board():
    made = Board(threading.Event())
    made.told = []
    made.listeners.append(lambda: made.told.append(1))
    return made


def test_the_writers_loss_is_told_once(board):
    lane = Lane()
    board.found(lane, 1)
    board.lent(lane)
    board.lost(lane)
    board.lost(lane)
    assert (board.told, lane.losses, lane.drops) == ([1], 1, 1)


def test_a_lane_that_nobody_relies_on_is_not_told_of(board):
    home, other = Lane(), Lane()
    board.lost(home)
    board.found(other, 1)
    board.lost(home)
    assert (board.told, home.losses, board.leads_to(other)) == ([], 0, True)


def test_a_connection_lent_by_dnss_word_is_told_of_before_any_writer_was_known(board):
    lane = Lane()
    board.lent(lane)
    assert board.relies_on(lane)
    board.lost(lane)
    board.lost(lane)
    assert (board.told, lane.losses) == ([1], 1)
    assert not board.relies_on(lane)


def test_dnss_word_was_wrong(board):
    hinted, writer = Lane(), Lane()
    board.lent(hinted)
    board.found(writer, 3)
    assert (board.told, hinted.losses, writer.losses) == ([1], 1, 0)


def test_dnss_word_was_right(board):
    lane = Lane()
    board.lent(lane)
    board.found(lane, 3)
    assert board.told == []
    board.lost(lane)
    assert (board.told, lane.losses) == ([1], 1)
